"""From files to streams of chunks: reading and encoding text, its entropies, time-major chunks of it;
and synthetic problems."""
