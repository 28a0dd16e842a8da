"""Callbacks and helpers around the updates of any Lightning module: watch, mend, schedule, diagnose."""
