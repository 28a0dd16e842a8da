"""The page in a real browser, with the network off."""

import shutil
from contextlib import contextmanager
from dataclasses import replace

import pytest
from report.examined import confusion, examination
from report.records_of import flow, write_run

from throughtime.records import write_examination
from throughtime.report import page_of_flow, report_of_run

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed; on Debian: apt-get install chromium"
)

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
]
MEASURE = """() => [...document.querySelectorAll('svg')].map(svg => {
  const box = svg.getBoundingClientRect();
  const cut = [...svg.querySelectorAll('text')].filter(text => {
    const own = text.getBoundingClientRect();
    return own.left < box.left - 1 || own.right > box.right + 1 || own.top < box.top - 1 || own.bottom > box.bottom + 1;
  });
  return {name: svg.querySelector('title').textContent, width: box.width, height: box.height,
          visible: svg.checkVisibility(), texts: svg.querySelectorAll('text').length,
          cut: cut.map(text => text.textContent)};
})"""
COLOUR = "() => getComputedStyle(document.querySelector('svg text')).fill + getComputedStyle(document.body).color"


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def pages(rich_run, tmp_path_factory):
    """Pages by name: of a run with everything, of one layer and predictions, of six, and of a diagnosis alone."""
    folder = tmp_path_factory.mktemp("pages")
    one_layer = write_run(folder / "one layer", 1, "ElmanCell")
    write_examination(one_layer, replace(examination(), confusion=confusion(12)))
    one = report_of_run(one_layer).page
    six = report_of_run(write_run(folder / "six layers", 6)).page
    alone = page_of_flow(flow(3), folder / "alone.html").page
    return {"rich": rich_run / "report.html", "one layer": one, "six layers": six, "alone": alone}


@contextmanager
def opened(browser, path, width=1280, scheme="light", media="screen"):
    """The page, open; on leaving, it must have asked for nothing and said nothing."""
    asked, said = [], []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page = context.new_page()
    page.route("**/*", lambda route: route.continue_() if route.request.url == path.as_uri() else route.abort())
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.emulate_media(media=media, color_scheme=scheme)
    page.goto(path.as_uri())
    yield page
    assert [one for one in asked if not one.startswith("data:")] == [path.as_uri()]
    assert said == []
    context.close()


@pytest.mark.parametrize("name", ["rich", "one layer", "six layers", "alone"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_figure_is_visible_and_nothing_is_cut_off(browser, pages, name, width):
    with opened(browser, pages[name], width) as page:
        figures = page.evaluate(MEASURE)
        assert len(figures) >= 12
        for figure in figures:
            assert figure["visible"] and figure["width"] > 150 and figure["height"] > 100, figure
            assert figure["texts"] > 3 and figure["cut"] == [], figure
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
        sizes = page.evaluate(
            "[...document.querySelectorAll('svg text')].map(text => text.getBoundingClientRect().height)"
        )
        assert min(sizes) > 9


def test_light_and_dark_have_their_own_colours(browser, pages):
    found = {}
    for scheme in ("light", "dark"):
        with opened(browser, pages["rich"], scheme=scheme) as page:
            found[scheme] = page.evaluate(COLOUR)
    assert found == {"light": 2 * "rgb(27, 31, 36)", "dark": 2 * "rgb(231, 235, 239)"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_paper_the_page_is_light_and_its_figures_are_there(browser, pages, scheme):
    with opened(browser, pages["rich"], 794, scheme, "print") as page:
        assert page.evaluate(COLOUR) == 2 * "rgb(0, 0, 0)"
        assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
        assert all(one["visible"] and one["width"] > 150 and not one["cut"] for one in page.evaluate(MEASURE))
        assert page.pdf(format="A4").startswith(b"%PDF")


def test_a_link_of_the_contents_leads_there(browser, pages):
    with opened(browser, pages["rich"]) as page:
        page.click("nav a[href='#clipping']")
        top = page.evaluate("document.getElementById('clipping').getBoundingClientRect().top")
        assert abs(top) < 60


def test_the_numbers_fold_out(browser, pages):
    with opened(browser, pages["rich"], 390) as page:
        table = page.locator("details table").first
        assert not table.is_visible()
        page.locator("summary").first.click()
        assert table.is_visible()
