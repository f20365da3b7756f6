"""Measurements. Importing this package lets its modules import the shop's."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The shop is not installed. Last, so that an installed package is what is measured.
sys.path += [os.path.join(ROOT, "testproject"), ROOT]
