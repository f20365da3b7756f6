"""Builds the package. Its metadata are in pyproject.toml, all but the licence: its form there differs between setuptools."""

from setuptools import setup

setup(license="BSD-3-Clause")
