"""Sub-commands, one module each: `HELP`, `add_arguments(parser)` and `run(arguments) -> exit code`.

A module here imports nothing heavy at its top, so that `throughtime --help` answers at once.
"""
