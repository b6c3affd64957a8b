"""The page: that it stands alone, is sound, can be read by who cannot see it, and tells what it should."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from sim.compare.comparison import compare
from sim.compare.curves import Clock
from sim.compare.look import COLOURS, DARK, NAMES, looks
from sim.compare.numbers import MINUS, interval, p_value, typeset, written
from sim.compare.page import page
from sim.compare.paired import Bounded
from sim.compare.plots import plots
from tests.sim.compare import made

VOID = {"meta", "br", "link", "img", "input", "hr"}
NAMES_OF = ("static", "epsilon-greedy", "linucb", "p402")
DOUBTS = ("few_seeds: <b>3</b> seeds",)
COMMAND = "p402 sim compare --preset small --out 'a & b'"


class Parsed(HTMLParser):
    """What a page is made of; raises where a tag is not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs), tuple(self.open)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, name):
        return [attrs for tag, attrs, _ in self.tags if tag == name]

    @property
    def words(self):
        return re.sub(r"\s+", " ", " ".join(self.text))


def result_of(names=NAMES_OF, seeds=(0, 1, 2), **more):
    clock = Clock(made.START_MS, made.START_MS + made.DAY_MS)
    return compare(made.a_table, names, seeds, "p402", clock, **more)


@pytest.fixture(scope="module")
def result():
    return result_of()


@pytest.fixture(scope="module")
def drawn(result):
    return tuple(plots(result, made.setting()))


@pytest.fixture(scope="module")
def text(result, drawn):
    setting = made.setting(about="Fast & <cheap>.", baseline="big <model>")
    return page(result, setting, drawn, DOUBTS, COMMAND)


@pytest.fixture(scope="module")
def parsed(text):
    return Parsed(text)


def test_it_is_one_document_that_needs_nothing_else(text, parsed):
    assert text.startswith("<!doctype html>")
    assert not re.search(r"https?:|//[a-z]|data:|@import|javascript", text)
    assert {"script", "link", "iframe", "img", "object", "embed"}.isdisjoint(t for t, _, _ in parsed.tags)
    for tag, attrs, _ in parsed.tags:
        for name, value in attrs.items():
            assert not name.startswith("on")
            assert name != "src"
            if name in {"href", "xlink:href"}:
                assert value.startswith("#"), (tag, value)


def test_ids_are_unique_and_whatever_is_named_is_there(text, parsed):
    ids = [attrs["id"] for _, attrs, _ in parsed.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    named = re.findall(r'(?:href="#|url\(#)([^")]+)', text)
    named += [one for attrs in parsed.all("svg") for one in attrs.get("aria-labelledby", "").split()]
    assert named
    assert set(named) <= set(ids)


def test_the_style_of_a_plot_is_not_the_pages(parsed):
    assert [inside for tag, _, inside in parsed.tags if tag == "style"] == [("html", "head")]


def test_each_plot_has_words_for_who_cannot_see_it(parsed, drawn):
    images = [attrs for attrs in parsed.all("svg") if attrs.get("role") == "img"]
    assert len(images) == len(drawn) == len(parsed.all("figure")) == len(parsed.all("figcaption")) == 6
    assert all("aria-hidden" in attrs for attrs in parsed.all("svg") if attrs not in images)
    for plot in drawn:
        assert all(name in plot.description for name in NAMES_OF if name != "p402")


def test_each_table_has_a_caption_and_its_headings_a_scope(parsed):
    assert len(parsed.all("caption")) == len(parsed.all("table")) >= 10
    assert all(attrs.get("scope") in {"row", "col"} for attrs in parsed.all("th"))
    assert parsed.all("html") == [{"lang": "en"}]
    assert len(parsed.all("h1")) == len(parsed.all("main")) == 1


def test_what_a_keyboard_scrolls_has_a_name(parsed):
    assert all(attrs["aria-label"] for _, attrs, _ in parsed.tags if attrs.get("role") == "region")


def test_it_says_that_all_is_simulated_before_anything_else(parsed):
    words = parsed.words
    assert words.index("Simulated: nothing here is real") < words.index("p402")


def test_it_has_what_is_needed_to_make_it_again(parsed):
    words = parsed.words
    assert COMMAND in words
    assert "ab" * 32 in words
    assert "Seeds 0, 1, 2" in words


def test_text_of_others_is_text(parsed, text):
    assert "Fast & <cheap>." in parsed.words
    assert "few_seeds: <b>3</b> seeds" in parsed.words
    assert "big <model>" in parsed.words
    assert "<cheap>" not in text


def test_every_number_of_a_strategy_stands_beside_its_interval(text):
    cells = re.findall(r"<td[^>]*>([^<]*\d[^<]*)(<small>|<span>)?", text)
    plain = [number for number, below in cells if not below]
    # what is left are counts, p-values, and the columns whose interval is the next cell
    assert all(
        re.fullmatch(rf"[\d,]+|&lt;0\.0001|\d\.\d+|[+{MINUS}]?[\d,.]+%?|\[.*\]", cell) for cell in plain
    ), plain


def test_the_verdict_is_what_the_ranking_says(result, drawn):
    setting = made.setting()
    holds = Parsed(page(result, setting, drawn, (), COMMAND)).words
    assert ("Every step holds" in holds) == result.ranking.all_shown
    alone = result_of(("p402",))
    words = Parsed(page(alone, setting, (), (), COMMAND)).words
    assert "there is nothing to compare it with" in words
    one = result_of(seeds=(0,))
    words = Parsed(page(one, setting, (), (), COMMAND)).words
    assert "these seeds do not tell the two apart" in words
    assert "unknown" in words
    assert not re.search(r"\bnan\b", words)
    assert not re.search(r"\binf\b", words)


def test_it_knows_light_and_dark_and_every_colour_has_both(text):
    assert "prefers-color-scheme: dark" in text
    assert set(DARK) == set(NAMES)
    body = text[text.index("<body>") :]
    assert not re.search(r"#[0-9a-f]{6}\b", body)
    used = set(re.findall(r"var\(--([a-z0-9-]+)\)", text))
    assert used <= set(NAMES.values())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_and_text_stand_out_from_the_paper(scheme):
    def light(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(a, b):
        high, low = sorted((light(a), light(b)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    shown = {variable: colour if scheme == "light" else DARK[colour] for colour, variable in NAMES.items()}
    assert all(contrast(shown[name], shown["paper"]) >= 4.5 for name in ("ink", "muted", "series-1"))
    assert all(contrast(shown[f"series-{i}"], shown["paper"]) >= 3.0 for i in range(len(COLOURS)))


def test_strategies_differ_in_more_than_colour():
    names = [f"s{i}" for i in range(12)]
    look = looks(names, "s3")
    assert look["s3"].colour == COLOURS[0]
    assert look["s3"].width > max(look[name].width for name in names if name != "s3")
    assert len({(one.colour, str(one.dash), one.mark) for one in look.values()}) == 12


def test_a_plots_file_stands_alone_and_is_the_same_each_time(result, drawn):
    again = tuple(plots(result, made.setting()))
    assert [plot.svg for plot in again] == [plot.svg for plot in drawn]
    for plot in drawn:
        root = ET.fromstring(plot.svg)
        assert root.tag.endswith("svg")
        assert "<metadata" not in plot.svg


def test_events_are_numbered_in_the_plot_and_told_below_it(drawn):
    regret = drawn[0]
    assert "(1) 12 h, sim-2 gets worse by 0.15; (2) 18 h, sim-4 costs a third" in regret.caption
    assert ">1</text>" in regret.svg
    assert ">2</text>" in regret.svg


def test_events_of_one_moment_share_a_mark(result):
    noon = made.setting().happenings[0]
    both = next(iter(plots(result, made.setting(happenings=(noon, replace(noon, what="it rains"))))))
    assert ">1, 2</text>" in both.svg
    assert "(1) 12 h, sim-2 gets worse by 0.15; (2) 12 h, it rains." in both.caption


def test_one_strategy_on_one_seed_can_be_drawn_too():
    alone = result_of(("p402",), (0,))
    assert [plot.name for plot in plots(alone, made.setting())] == [
        "regret",
        "frontier",
        "cost",
        "latency",
        "arms",
    ]


def test_a_world_where_nothing_happens_says_so(result):
    quiet = replace(made.setting(), happenings=())
    assert "Nothing changes in this world." in next(iter(plots(result, quiet))).caption


@pytest.mark.parametrize(
    ("value", "form", "signed", "expected"),
    [
        (270.123, "count", False, "270"), (49.55, "count", False, "49.5"), (3.456, "count", False, "3.46"),
        (0.1234, "count", True, "+0.123"), (12_345.6, "count", False, "12,346"),
        (0.71559, "score", False, "0.716"),
        (-0.04091, "score", True, "-0.0409"), (0.9021, "share", False, "90.2%"),
        (-0.0496, "share", True, "-4.96 pp"),
        (1_790.6, "ms", False, "1,791"), (-0.04, "ms", True, "0.0"), (0.0, "share", True, "+0.00 pp"),
        (float("nan"), "usd", False, "unknown"), (1.26412, "usd", False, "1.264"),
        (0.012345, "usd", False, "0.01235"),
    ],
)  # fmt: skip
def test_numbers_are_written_with_the_digits_they_need(value, form, signed, expected):
    assert written(value, form, signed=signed) == expected


def test_an_interval_that_is_not_known_says_so():
    assert interval(Bounded(1.0, -float("inf"), float("inf"), 1.0, 1), "score") == "[unknown]"
    assert interval(Bounded(0.1, -0.02, 0.2, 0.1, 5), "share", signed=True) == "[-2.00, +20.00]"
    assert (p_value(0.0), p_value(0.00012), p_value(0.04567), p_value(0.5)) == (
        "<0.0001",
        "0.0001",
        "0.046",
        "0.50",
    )


def test_a_minus_is_one_only_before_a_number():
    assert (
        typeset("epsilon-greedy [-3, -0.5] 2026-11-26") == f"epsilon-greedy [{MINUS}3, {MINUS}0.5] 2026-11-26"
    )
