"""Builds the package.

Its metadata are in pyproject.toml, but the licence: setuptools changed its form there.
"""

from setuptools import setup

setup(license="BSD-3-Clause")
