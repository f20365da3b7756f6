"""What an operator can do with events: replay, resolve, dry run, prune."""
