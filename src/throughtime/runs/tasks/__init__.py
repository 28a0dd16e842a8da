"""Tasks that a run can learn, one file each.

A run's settings choose the task. No torch is imported here, as the command line reads this module.
"""

from throughtime.runs.tasks.classify import Classify as Classify
from throughtime.runs.tasks.forecast import Forecast as Forecast
from throughtime.runs.tasks.label import Label as Label
from throughtime.runs.tasks.next_step import NextStep as NextStep
from throughtime.runs.tasks.regress import Regress as Regress
from throughtime.runs.tasks.rows import OnlineRows as OnlineRows
from throughtime.runs.tasks.stream import Stream as Stream
from throughtime.runs.tasks.text import Text as Text
