"""The shop's settings, with the address of the view that it is compared with."""

from testproject import settings

globals().update((name, value) for name, value in vars(settings).items() if name.isupper())

ROOT_URLCONF = "benchmarks.baseline"
