"""throughtime's layers measured against torch.nn and jax: parity first, then interleaved timings."""
