"""The tests of what explains a 401."""
