"""Data: text files, byte streams, time-major chunks, baselines and synthetic problems."""
