"""What needs real concurrency, or a real service: the databases' locks, the brokers, processes that
are killed.
"""
