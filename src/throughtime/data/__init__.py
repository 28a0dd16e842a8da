"""From files to streams of chunks: reading and encoding text, its entropies, and time-major chunks of it."""
