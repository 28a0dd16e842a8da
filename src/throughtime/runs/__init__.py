"""Whole runs, from settings to a trained model in its folder: one engine for files and for streams."""
