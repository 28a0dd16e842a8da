"""What runs can predict, one task a file; each is chosen by its settings. No torch here, as the command reads it."""

from throughtime.runs.tasks.stream import Stream as Stream
from throughtime.runs.tasks.text import Text as Text
