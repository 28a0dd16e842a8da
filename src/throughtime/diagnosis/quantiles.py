"""Quantiles that the records of a diagnosis hold."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Levels of the quantiles by lag and of time constants; the median stands in the middle."""
