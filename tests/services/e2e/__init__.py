"""The shop as it runs: web server, Celery worker, warehouse, broker and database, each a process of
its own.
"""
