"""Whole runs: from settings to a trained model in its folder."""
