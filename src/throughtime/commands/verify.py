"""Another name of `throughtime equations`: `throughtime verify`."""

from throughtime.commands.equations import add_arguments as add_arguments
from throughtime.commands.equations import run as run

HELP = "Another name of equations."
