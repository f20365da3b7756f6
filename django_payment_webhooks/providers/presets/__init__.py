"""The providers of the world, one module each: data, and where it was read.

``PRESET`` of a provider's options is the name of a module here; its class ``Preset`` is used.
"""
