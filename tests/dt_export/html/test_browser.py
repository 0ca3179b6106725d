"""The page in a real browser: phone and desktop, light and dark."""

from pathlib import Path

import pytest
from browser import Browser, browser, found
from reports_made_here import documented, failed, passed, played, replayed

from dt_export.html.page import Made, write_page

pytestmark = pytest.mark.skipif(found() is None, reason="no chromium or chrome on this machine")
PAGES = {"passed": lambda: replayed(played(passed())), "failed": lambda: failed("step")}
# The width of the widest thing on the page, and of what sticks out of a box that does not scroll.
WIDEST = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
STICKS_OUT = """[...document.querySelectorAll('body *')].filter(element =>
    !element.closest('.scroll, pre, svg, .hidden') &&
    element.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5
).map(element => element.outerHTML.slice(0, 80))"""
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
INK = "getComputedStyle(document.querySelector('svg.plot text')).fill"
BACKGROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(17, 24, 31)"}
INKS = {"light": "rgb(23, 33, 43)", "dark": "rgb(228, 234, 240)"}


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for name, make in PAGES.items():
        write_page(documented(make()), folder / f"{name}.html", Made("dt-export validate"))
    return {name: folder / f"{name}.html" for name in PAGES}


@pytest.fixture(scope="module")
def tab():
    with browser() as opened:
        yield opened


@pytest.mark.parametrize("scheme", BACKGROUNDS)
@pytest.mark.parametrize("width", (390, 1280))
@pytest.mark.parametrize("name", PAGES)
def test_it_opens_without_a_word_and_fits(tab: Browser, pages, name, width, scheme):
    tab.open(pages[name], width, 900, scheme)
    assert not tab.said("Log.entryAdded") and not tab.said("Runtime.consoleAPICalled")
    assert not tab.said("Runtime.exceptionThrown")
    asked = [event["request"]["url"] for event in tab.said("Network.requestWillBeSent")]
    assert asked == [pages[name].as_uri()]
    assert tab.value(WIDEST) <= width
    assert tab.value(STICKS_OUT) == []
    assert tab.value("getComputedStyle(document.body).backgroundColor") == BACKGROUNDS[scheme]
    assert (
        tab.value("getComputedStyle(document.querySelector('svg.plot text')).fill") == INKS[scheme]
    )


def test_pictures_are_drawn_as_wide_as_the_phone(tab: Browser, pages):
    tab.open(pages["passed"], 390, 900, "light")
    widths = tab.value(
        "[...document.querySelectorAll('svg.plot')].map(e => e.getBoundingClientRect().width)"
    )
    assert widths and all(340 <= width <= 390 for width in widths)
    smallest = tab.value(
        "Math.min(...[...document.querySelectorAll('svg.plot text')].map(e => "
        "e.getBoundingClientRect().height))"
    )
    assert smallest >= 11  # CSS pixels


def test_labels_of_a_picture_do_not_collide(tab: Browser, pages):
    """The browser's font is not the one that Matplotlib measured."""
    for name in pages:
        tab.open(pages[name], 390, 900, "light")
        collisions = tab.value(
            """[...document.querySelectorAll('svg.plot')].flatMap(plot => {
              const boxes = [...plot.querySelectorAll('text')].map(e =>
                [e.textContent, e.getBoundingClientRect()]);
              return boxes.flatMap(([a, one], i) => boxes.slice(i + 1).filter(([b, other]) =>
                one.left < other.right - 1 && other.left < one.right - 1 &&
                one.top < other.bottom - 3 && other.top < one.bottom - 3
              ).map(([b]) => [a, b]))
            })"""
        )
        assert collisions == []
