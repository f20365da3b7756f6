"""How all events are, and what is wrong."""
