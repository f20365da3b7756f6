"""One module for each preset: what it must make of its provider's vectors and events."""
