"""The tests of the adapters to other packages."""
