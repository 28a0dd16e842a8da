"""Runs of the command, from settings to a trained model in a folder."""
