"""The tests of the history."""
