"""The tests of the monitoring."""
