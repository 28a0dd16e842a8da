import pytest
from report.pages import read_page
from report.records_of import write_run

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
pytest.importorskip("jinja2", reason="jinja2 is not installed")

from throughtime.report import report_of_run  # noqa: E402  (needs both)


@pytest.fixture(scope="session")
def rich_run(tmp_path_factory):
    """The folder of a run with every record, its page written."""
    folder = write_run(tmp_path_factory.mktemp("report") / "a rich run")
    report_of_run(folder, samples={"At temperature 0.8": "the language\n  is."})
    return folder


@pytest.fixture(scope="session")
def rich_page(rich_run):
    """That page, read."""
    return read_page((rich_run / "report.html").read_bytes())
