"""Measurements of the layers against torch.nn and jax: parity first, then timings that take turns."""
