"""Readers of data files, a file per format.

A format is a module with `SUFFIXES`, the endings of its files, and `read(file: Raw, layout: Layout) -> Table |
SeriesSet`.
"""
