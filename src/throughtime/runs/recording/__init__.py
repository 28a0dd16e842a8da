"""Numbers and lines of a run, for its files and its user."""
