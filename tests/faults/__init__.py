"""The fault campaign: the shop under fire, and an independent check of what is left of it."""
