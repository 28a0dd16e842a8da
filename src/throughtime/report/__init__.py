"""Reports: self-contained pages from the records of a run or a diagnosis. A page has figures, tables and sentences."""

from throughtime.report.flow import figure_of_flow as figure_of_flow
from throughtime.report.flow import page_of_flow as page_of_flow
from throughtime.report.run import report_of_run as report_of_run
from throughtime.report.written import Written as Written
