"""Training loops of a run: in passes over a file, or along a stream."""
