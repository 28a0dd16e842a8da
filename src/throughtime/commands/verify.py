"""`throughtime verify`: another name of `throughtime equations`."""

from throughtime.commands.equations import add_arguments as add_arguments
from throughtime.commands.equations import run as run

HELP = "Another name of equations."
