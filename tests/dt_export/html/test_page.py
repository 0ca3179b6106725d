"""The page of a validation: complete, self-contained, safe, and twice the same."""

import math
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from dt_runtime.contract import Source
from reports_made_here import HOSTILE, documented, failed, passed, played, replayed, undecided

from dt_export.errors import UsageError
from dt_export.files.ours import is_page
from dt_export.html.page import Made, check, made, page, write_page
from dt_export.validation.closed_loop import ActionTrace

COMMAND = "dt-export validate out/hopper.onnx --model hopper --env Hopper-v5 --seed 7"
MADE = Made(COMMAND, 2_536_390, "ab" * 32, {"processor": "a processor"}, "2026-11-21 22:10 UTC")
REPORTS = {
    "passed": lambda: replayed(played(passed())),
    "undecided": undecided,
    "failed": failed,
}


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text in each."""

    VOID = ("meta",)

    def __init__(self, text: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        if self.open and data.strip():
            self.texts.append((self.open[-1], data.strip()))

    def named(self, tag):
        return [attributes for name, attributes in self.found if name == tag]

    @property
    def text(self):
        return " ".join(text for tag, text in self.texts if tag != "style")


@pytest.fixture(scope="module")
def pages():
    return {word: page(documented(make()), MADE) for word, make in REPORTS.items()}


@pytest.mark.parametrize("word", REPORTS)
def test_the_verdict_comes_first(pages, word):
    elements = Elements(pages[word])
    (title,) = [text for tag, text in elements.texts if tag == "title"]
    assert title == f"{word}: hopper.onnx"
    shown = [text for tag, text in elements.texts if tag not in ("title", "style")]
    assert shown[:3] == ["Validation of", "hopper.onnx", word]
    (verdict,) = [a for a in elements.named("div") if "verdict" in str(a.get("class"))]
    assert verdict["class"] == f"verdict {word}"


def test_what_failed_stands_with_the_verdict():
    diagnosis = ("Long windows are off and short ones agree.", "Look at <b>the mask</b>.")
    text = page(documented(failed()), MADE, diagnosis=diagnosis)
    head = text[: text.index('id="compared"')]
    assert diagnosis[0] in head and "Look at &lt;b&gt;the mask&lt;/b&gt;." in head
    assert "the artifact&#39;s contract says 100.0, the checkpoint says 1000.0" in head


@pytest.mark.parametrize("graph", ("policy", "step", "sequence"))
def test_everything_is_on_the_page(graph):
    report = replayed(played(passed(graph)))
    text = Elements(page(documented(report), MADE)).text
    for fact in (
        COMMAND, "2,536,390 bytes", "ab" * 32, "bundled:hopper", graph, "CPUExecutionProvider",
        "a processor", "2.13.0", "2026-11-21 22:10 UTC", "Hopper-v5", "20,000 steps",
        "By batch size", "Asked against achieved", "95 % interval",
        "Worst difference by timestep", "runs.npz", "3 episodes, 480 timesteps",
        "hopper.json", "opset 20",
    ):  # fmt: skip
        assert fact in text, fact
    assert str(report.contract.source.sha256) in text
    assert ("By left padding" in text) == (graph != "step")
    assert ("slots = 1, B = 3" in text) == (graph == "step")
    for output in {c.output for c in report.comparisons}:
        assert f"Output {output}" in text


@pytest.mark.parametrize("word", REPORTS)
def test_it_loads_nothing_and_runs_no_script(pages, word):
    elements = Elements(pages[word])
    tags = {tag for tag, _ in elements.found}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "a"}
    for _, attributes in elements.found:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        for name in ("href", "xlink:href", "clip-path"):
            value = attributes.get(name) or "#"
            assert value.removeprefix("url(").startswith("#"), value
    policy = [a["content"] for a in elements.named("meta") if "http-equiv" in a]
    assert len(policy) == 1 and str(policy[0]).startswith("default-src 'none'; style-src 'sha256-")
    assert "url(" not in re.sub(r"url\(#", "", pages[word])


@pytest.mark.parametrize("word", REPORTS)
def test_it_is_small_and_every_name_is_unique(pages, word):
    assert len(pages[word].encode()) < 500_000
    names = re.findall(r'\sid="([^"]+)"', pages[word])
    assert len(names) == len(set(names)) > 20
    used = set(re.findall(r'(?:href="|url\()#([\w-]+)', pages[word]))
    assert used and used <= set(names)


@pytest.mark.parametrize("word", REPORTS)
def test_every_picture_says_what_it_shows_and_has_its_numbers_beside_it(pages, word):
    elements = Elements(pages[word])
    pictures = [a for a in elements.named("svg") if a.get("class") == "plot"]
    assert len(pictures) == len(elements.named("figure")) >= 12
    for picture in pictures:
        assert picture["role"] == "img" and len(str(picture["aria-label"])) > 20
        assert picture["viewbox"] and "width" not in picture
    tables = re.findall(r"<figure>.*?</figure>", pages[word], re.S)
    assert all(figure.count("<table") == 1 for figure in tables)
    assert all('<th scope="col">' in figure for figure in tables)


@pytest.mark.parametrize("word", REPORTS)
def test_colours_come_from_the_style_sheet(pages, word):
    body = pages[word][pages[word].index("<body>") :]
    assert not re.search(r'(?:fill|stroke)="(?!none")[^"]*"', body)
    assert "#0101" not in body  # a placeholder


def test_what_is_hostile_is_shown_as_text():
    report = failed()
    contract = replace(
        report.contract, environment=HOSTILE, source=Source(HOSTILE, HOSTILE), dialect=HOSTILE,
        action=replace(report.contract.action, names=(HOSTILE, "$x_1$", "")),
    )  # fmt: skip
    report = replace(report, contract=contract, notes=(HOSTILE,), differences=(HOSTILE,))
    text = page(documented(report, f"out/{HOSTILE}"), Made(HOSTILE, machine={HOSTILE: HOSTILE}))
    elements = Elements(text)
    assert not elements.named("script")
    assert "<script>alert('x')</script>" in elements.text
    assert "$x_1$" in elements.text


def test_the_same_report_gives_the_same_bytes():
    document = documented(failed())
    assert page(document, MADE) == page(document, MADE)


def test_a_report_without_numbers():
    """Contract and checkpoint do not fit, so nothing was compared."""
    report = replace(passed(), comparisons=(), levels=(), differences=("state size: 3, 11",))
    text = Elements(page(documented(report), Made())).text
    assert "no numbers were compared" in text and "By window length" not in text


def test_a_report_of_exact_zeros_and_of_one_case():
    one = replace(passed().comparisons[0], error=0.0, abs_error=0.0, rounding=0.0, rms=0.0)
    report = replace(passed(), comparisons=(one,))
    assert "By kind of input" in page(documented(report), Made())


def looped(**changes):
    report = played(passed())
    return replace(report, closed_loop=replace(report.closed_loop, **changes))


def test_every_episode_crashed():
    pairs = tuple(
        replace(pair, expected=math.nan, seen=math.nan, forced_error=math.inf, problem="it fell")
        for pair in played(passed()).closed_loop.pairs
    )
    text = Elements(page(documented(looped(pairs=pairs, traces=(), latency=None)), Made())).text
    assert "seed 0: it fell (and 19 more)" in text and "Latency" not in text


def test_one_episode_has_no_interval():
    (pair, *_) = played(passed()).closed_loop.pairs
    text = Elements(page(documented(looped(pairs=(pair,))), Made())).text
    assert "Mean difference" in text and "-inf" in text


@pytest.mark.parametrize("steps", (1, 5, 5000))
def test_actions_of_any_number_and_length(steps):
    rows = tuple((0.1 * (t % 7),) * 8 for t in range(steps))
    seen = ((math.nan,) * 8, *rows[1:])
    text = page(documented(looped(traces=(ActionTrace(3, 90.0, rows, seen, 1e-6),))), Made())
    assert len(text) < 500_000
    words = Elements(text).text
    assert "Action 5" in words and "Action 6" not in words
    assert "The first 6 of 8 components" in words and "not comparable" in words


def test_indices_of_a_discrete_policy():
    report = looped(traces=(ActionTrace(0, 90.0, ((1.0,), (2.0,)), ((1.0,), (3.0,)), None),))
    action = replace(report.contract.action, kind="discrete", low=None, high=None)
    report = replace(report, contract=replace(report.contract, action=action))
    assert "Index of the action" in Elements(page(documented(report), Made())).text


def test_a_group_that_is_off_on_the_whole_is_marked():
    report = passed()
    bound = report.levels[0].bound_rms
    off = tuple(replace(c, rms=2 * bound) if c.case.padding else c for c in report.comparisons)
    report = replace(report, comparisons=off)
    assert report.drifts and not report.failures
    text = page(documented(report), Made())
    count = len({c.case.group for c in off})
    assert f"{len(report.drifts)} of {count} failed" in text


def test_an_earlier_page_is_replaced_and_nothing_else_is(tmp_path):
    path, document = tmp_path / "out.html", documented(passed())
    for _ in range(2):
        write_page(document, path, MADE)
    assert is_page(path) and list(tmp_path.iterdir()) == [path]
    path.write_text("<!DOCTYPE html><title>a page of mine</title>", encoding="utf-8")
    with pytest.raises(UsageError, match=r"--report .*did not write it"):
        write_page(document, path, MADE)
    write_page(document, path, MADE, force=True)
    assert is_page(path)
    with pytest.raises(UsageError, match="what this command reads"):
        check(path, inputs=[path])


def test_another_suffix(tmp_path):
    with pytest.raises(UsageError, match=r"out.pdf: expected a file ending in .html or .htm"):
        check(tmp_path / "out.pdf")


@pytest.mark.parametrize("package", ("matplotlib", "jinja2"))
def test_without_a_package_it_says_how_to_get_it(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)  # as Python marks what cannot be imported
    with pytest.raises(UsageError, match=rf"{package}: `pip install 'dt-export\[report\]'`"):
        check(tmp_path / "out.html")


def test_what_made_it_is_read_from_the_file(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"abc")
    found = made(path, COMMAND)
    assert found.size == 3 and str(found.sha256).startswith("ba7816bf8f01cfea")
    assert {"processor", "cores", "system", "Python"} == set(found.machine)
