"""«قُتل جنديان <script> في غارة»: an evaluation as a page, in which an article is only ever text."""

from __future__ import annotations

import copy
import re
import sys
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest

from khabar import plots
from khabar.document import DataError, Document, Event, Mention
from khabar.html import ReportUnavailable, page
from pages import EXAMPLES, REPORT

HOSTILE = "</script><script>window.harm = 1</script><img src=x onerror='harm=1'>\u202e\"'&{{ 7*7 }}{% raw %}$\\frac{$"
VOID = {"meta", "link", "br", "img", "input"}


class Page(HTMLParser):
    """Reads a page and fails where its elements are not nested."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.words.append(data)

    def values(self, name: str) -> list[str]:
        return [value for attribute, value in self.attributes if attribute == name]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def whole() -> Page:
    return Page(page(REPORT, EXAMPLES))


def test_a_page_shows_every_section(whole: Page) -> None:
    sections = ["scores", "overlap", "sequences", "ceaf", "calibration", "errors", "worst", "examples"]
    assert [link for link in whole.values("href") if link[1:] in sections] == [f"#{name}" for name in sections]
    assert set(sections) <= set(whole.values("id"))
    for shown in (
        "أخبار · test",
        "66.7 F1",
        "20.0–95.0",
        "Tag sequences",
        "CEAF-REE",
        "ECE 0.200 before",
        "0.100 after",
    ):
        assert shown in whole.text, shown
    assert whole.tags["svg"] == 2
    assert whole.tags["article"] == len(EXAMPLES)


def test_ids_are_unique_and_what_refers_to_them_finds_them(whole: Page) -> None:
    ids = whole.values("id")
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    urls = [
        url
        for values in ("clip-path", "style")
        for value in whole.values(values)
        for url in re.findall(r"url\(#(.*?)\)", value)
    ]
    links = [link[1:] for name in ("href", "xlink:href") for link in whole.values(name) if link.startswith("#")]
    assert set(urls) | set(links) | set(whole.values("aria-labelledby")) <= set(ids)


def test_nothing_is_fetched(whole: Page) -> None:
    assert not {"img", "iframe", "object", "embed"} & set(whole.tags)
    assert whole.values("src") == []
    assert [link for link in whole.values("href") if not link.startswith("#")] == ["data:,"]
    assert "default-src 'none'" in " ".join(whole.values("content"))
    style = page({}, [])
    assert not re.search(r"@import|url\((?!#)|https?://", style)


def test_the_same_report_gives_the_same_page() -> None:
    assert page(REPORT, EXAMPLES) == page(copy.deepcopy(REPORT), EXAMPLES)


@pytest.mark.parametrize("name", [name for name in REPORT if name != "schema"])
def test_any_section_may_be_missing_or_stand_alone(name: str) -> None:
    without = {key: value for key, value in REPORT.items() if key not in (name, "calibration")}  # plots take time
    reports = [without, {**without, name: None}, {**without, name: {}}, {name: REPORT[name]}]
    if isinstance(REPORT[name], dict):
        reports += [{name: {key: value}} for key, value in REPORT[name].items()]
    for report in reports:
        assert Page(page(report)).tags["h1"] == 1


def test_an_empty_report_says_so() -> None:
    assert "This report holds no scores." in Page(page({})).text


def test_what_the_page_does_not_know_is_shown_as_it_is() -> None:
    shown = Page(page({"seeds": [1, 2], "temperature": {"entities": 1.25}, "sweep": {"deep": {"er": 0.5}}})).text
    assert "seeds 1 · 2" in shown
    assert "temperature entities 1.25" in shown
    assert '"er": 0.5' in shown


def test_what_is_undefined_is_a_dash() -> None:
    nothing = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "correct": 0, "predicted": 0, "gold": 4}
    shown = Page(page({"scores": {"TC": {"micro": nothing, "types": {"Attack": nothing}}}})).text
    assert "Attack – 0.00 0.00 0 0 4" in shown


def renamed(value: Any, harm: str) -> Any:
    """A report in which every label and every text is hostile."""
    known = {*REPORT, *("micro", "types", "roles", "entities", "triggers", "arguments", "missed", "spurious")}
    if isinstance(value, dict):
        labels = all(key[:1].isupper() and not key.startswith(("A", "T")) for key in value)
        return {f"{key}{harm}" if labels and key not in known else key: renamed(v, harm) for key, v in value.items()}
    if isinstance(value, list):
        return [renamed(one, harm) for one in value]
    return f"{value}{harm}" if isinstance(value, str) and value not in known else value


def hostile() -> str:
    trigger, entity = Mention(0, len(HOSTILE), f"Attack{HOSTILE}", 0.5), Mention(3, 9, f"GPE{HOSTILE}")
    gold = Document(f"id{HOSTILE}", HOSTILE, (entity,), (Event(trigger, (Mention(0, 5, HOSTILE),)),))
    return page(renamed(REPORT, HOSTILE), [(gold, gold), (gold, Document(gold.id, HOSTILE))])


def test_an_article_and_its_labels_are_only_text(whole: Page) -> None:
    shown = Page(hostile())
    assert shown.scripts == whole.scripts
    assert shown.tags["script"] == 1
    assert shown.tags["img"] == 0
    assert not [name for name, _ in shown.attributes if name.startswith("on")]
    assert shown.text.count("window.harm = 1") > 20
    assert "{{ 7*7 }}" in shown.text
    assert [value for value in shown.values("style") if "harm" in value] == []


def test_an_example_is_of_one_text() -> None:
    with pytest.raises(DataError, match="'1': gold and predicted text differ"):
        page({}, [(Document("1", "حلب"), Document("1", "حمص"))])


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ReportUnavailable, match=r"needs matplotlib: pip install 'khabar\[report\]'"):
        page(REPORT)


def test_a_plot_takes_the_colours_and_the_font_of_its_page() -> None:
    kind = REPORT["calibration"]["after"]["entities"]
    for svg in (
        plots.reliability(kind, kind, "one"),
        plots.reliability(kind, None, "two"),
        plots.thresholds(kind["curve"], "x"),
    ):
        assert not re.search(r"#[0-9a-f]{6}\b(?![^\"]*\")|(fill|stroke): #|font-family|<style|<!--|<metadata", svg)
        assert "var(--accent)" in svg
        assert svg.startswith("<svg viewBox=")
        assert ">score</text>" in svg or ">threshold on the score</text>" in svg
