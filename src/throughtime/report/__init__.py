"""Reports: a self-contained page of figures, tables and sentences from the records of a run or diagnosis."""

from throughtime.report.flow import figure_of_flow as figure_of_flow
from throughtime.report.flow import page_of_flow as page_of_flow
from throughtime.report.run import Written as Written
from throughtime.report.run import report_of_run as report_of_run
