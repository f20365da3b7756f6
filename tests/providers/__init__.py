"""The tests of the providers. ``samples`` has what each of them sends."""
