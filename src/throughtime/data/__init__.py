"""Data: files of text, their entropies, time-major chunks of them, and synthetic problems."""
