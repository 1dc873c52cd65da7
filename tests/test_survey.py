"""What a corpus holds, and how far two annotations of it agree."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score  # type: ignore[import-untyped,unused-ignore]

from khabar import corpus
from khabar.document import DataError, Document, Event
from khabar.formats import standoff
from khabar.ontology import Ontology
from khabar.survey import agreement, cohen_kappa, repeated, survey

LABELS = st.sampled_from(["O", "Attack", "Die"])


@given(pairs=st.lists(st.tuples(LABELS, LABELS), min_size=1))
def test_kappa_equals_the_reference(pairs: list[tuple[str, str]]) -> None:
    if len({label for pair in pairs for label in pair}) > 1:  # else the reference divides by zero
        assert cohen_kappa(pairs) == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)))
    else:
        assert cohen_kappa(pairs) == 1.0


def test_kappa_of_nothing_is_an_error() -> None:
    with pytest.raises(DataError, match="no labels"):
        cohen_kappa([])


@pytest.mark.parametrize(
    ("texts", "share"),
    [
        (["أ ب ج", "أ ب ج"], 1.0),
        (["أ ب ج", "أ، ب. ج"], 1.0),  # punctuation is no word
        (["أ ب ج", "د ه و"], 0.0),
        (["أ ب ج د", "ب ج د"], 0.5),
        (["أ ب ج أ ب ج", "د"], 0.0),  # in one document, however often
        (["أ ب\nج", "أ ب ج"], 0.0),  # a line's end is the end
        (["أ"], 0.0),
    ],
)
def test_sequences_that_two_articles_share(texts: list[str], share: float) -> None:
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    assert repeated(documents, 3) == share


def test_an_annotation_agrees_with_itself(documents: tuple[Document, ...]) -> None:
    assert set(agreement(documents, documents).values()) == {1.0}


def test_agreement_is_symmetric_and_counts_each_layer(documents: tuple[Document, ...]) -> None:
    first = list(documents)
    second = [replace(documents[0], entities=(), events=()), *documents[1:]]
    found = agreement(first, second)
    assert found == pytest.approx(agreement(second, first))
    assert all(0 < found[name] < 1 for name in ("entities", "triggers", "arguments", "kappa_words"))
    assert found["kappa_types"] == 1.0


def test_nothing_to_compare_is_left_out() -> None:
    empty = [Document("1", "نص", (), ())]
    assert "kappa_types" not in agreement(empty, empty)
    with pytest.raises(DataError, match="document '1': the two annotated different layers"):
        agreement(empty, [Document("1", "نص", (), None)])


def test_the_survey_counts_and_holds_against_the_bars(
    documents: tuple[Document, ...], ontology: Ontology, tmp_path: Path
) -> None:
    splits = {"train": documents[:-2], "dev": documents[-2:-1], "test": documents[-1:]}
    corpus.write(tmp_path / "corpus", "أخبار", ontology, splits)
    changed = replace(documents[0], events=tuple(Event(event.trigger) for event in documents[0].events or ()))
    standoff.write(tmp_path / "first.jsonl", [documents[0], Document("غائب", "نص آخر", (), ())])
    standoff.write(tmp_path / "second.jsonl", [changed, Document("غائب", "نص آخر", (), ())])
    report = survey(
        [tmp_path / "corpus"],
        tmp_path / "report.json",
        bars={"documents": 1, "words": 1e6, "dev": 1, "repeated": 0.5, "doubly": 1, "triggers": 1, "frequent": 1000},
        frequent=["Attack"],
        first=tmp_path / "first.jsonl",
        second=tmp_path / "second.jsonl",
    )
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == report
    assert report["أخبار"]["total"]["documents"] == len(documents)
    triggers = report["أخبار"]["triggers"]
    assert sum(sum(counts.values()) for counts in triggers.values()) == report["أخبار"]["total"]["events"]
    assert (report["agreement"]["articles"], report["agreement"]["compared"]) == (2, 1)
    assert report["agreement"]["triggers"] == 1.0
    assert report["agreement"]["arguments"] < 1.0
    met = {name: bar["met"] for name, bar in report["bars"].items()}
    assert met["documents"]
    assert met["doubly"]
    assert not met["words"]
    assert not met["train triggers Attack"]
    assert met["train triggers Meet"]


def test_what_cannot_be_surveyed_is_named(documents: tuple[Document, ...], ontology: Ontology, tmp_path: Path) -> None:
    corpus.write(tmp_path / "corpus", "أخبار", ontology, {"train": documents})
    with pytest.raises(DataError, match="corpora need names of their own"):
        survey([tmp_path / "corpus", tmp_path / "corpus"], tmp_path / "report.json")
    with pytest.raises(DataError, match=r"no bars or event types .*wrods"):
        survey([tmp_path / "corpus"], tmp_path / "report.json", bars={"wrods": 1})
    with pytest.raises(DataError, match=r"no bars or event types .*Atack"):
        survey([tmp_path / "corpus"], tmp_path / "report.json", bars={"triggers": 1}, frequent=["Atack"])


def test_a_type_without_a_trigger_misses_its_bar(ontology: Ontology, tmp_path: Path) -> None:
    corpus.write(tmp_path / "corpus", "أخبار", ontology, {"train": [Document("1", "نص", (), ())]})
    report = survey([tmp_path / "corpus"], tmp_path / "report.json", bars={"triggers": 1})
    assert [bar["met"] for bar in report["bars"].values()] == [False] * len(ontology.events)
