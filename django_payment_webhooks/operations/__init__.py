"""Operators' actions on events: replay, resolve, dry run, prune."""
