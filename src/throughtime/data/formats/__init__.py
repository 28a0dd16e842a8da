"""Readers of data files, a file per format: each is a module with a `FORMAT`."""
