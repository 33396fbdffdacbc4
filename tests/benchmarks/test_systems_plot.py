"""The picture of the systems: marks are the claims', and lie where their verdicts say."""

import xml.etree.ElementTree as ET

import pytest

from benchmarks.systems import SYSTEMS
from benchmarks.systems_plot import COLOURS, Mark, bar_of, marks, svg

_SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("words", "bar"),
    [
        ("a is at least 0.15 dB above b", 0.15),
        ("a is at most 0.1 dB below b", -0.1),
        ("a is above b", 0),
    ],
)
def test_the_bar_is_what_the_words_ask_for(words, bar):
    assert bar_of(words) == bar


def test_a_claim_holds_where_its_whole_interval_lies_beyond_its_bar():
    """Else the picture and the word beside it would say two things."""
    found = list(marks())
    assert {m.verdict for m in found} == set(COLOURS)
    for mark in found:
        low, high = (mark.mean - mark.bar + side * 2 * mark.error for side in (-1, 1))
        wanted = "holds" if low > 0 else "reversed" if high < 0 else "tie"
        assert mark.verdict == wanted, mark


def test_every_mark_is_drawn_and_within_the_picture():
    root = ET.fromstring(svg())
    width, height = (float(side) for side in root.attrib["viewBox"].split()[2:])
    dots = [dot.attrib for dot in root.iter(f"{_SVG}circle")]
    assert len(dots) == len(list(marks())) > len(SYSTEMS)
    assert all(0 < float(d["cx"]) < width and 0 < float(d["cy"]) < height for d in dots)
    # From left to right as the means rise.
    order = sorted(range(len(dots)), key=lambda i: float(dots[i]["cx"]))
    means = [mark.mean for mark in marks()]
    assert order == sorted(order, key=lambda i: means[i])


def test_words_are_escaped(monkeypatch):
    odd = Mark("<a> & b", "x < y", "tie", 0.1, 0.1, 2, 0.0)
    monkeypatch.setattr("benchmarks.systems_plot.marks", lambda: iter([odd]))
    texts = ["".join(t.itertext()) for t in ET.fromstring(svg()).iter(f"{_SVG}text")]
    assert "<a> & b x < y" in texts
