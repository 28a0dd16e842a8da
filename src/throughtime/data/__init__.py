"""Data: text files and their entropies, time-major chunks, and synthetic problems."""
