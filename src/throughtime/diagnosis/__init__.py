"""How the gradient flows through time: by step and by lag, spectra, exponents, saturation, and a verdict."""
