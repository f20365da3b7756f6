"""What a fuzzer does to the code that meets the internet: ``python tests/fuzz/run.py parser
-max_total_time=60``.
"""
