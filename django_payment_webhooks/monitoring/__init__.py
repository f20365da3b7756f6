"""The state of all events, and what is wrong."""
