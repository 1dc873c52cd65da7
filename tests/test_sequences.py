"""«زار وزير الخارجية سامح شكري بغداد»: what becomes of a tag that continues nothing, here and in other toolkits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support
from seqeval.metrics.v1 import precision_recall_fscore_support as strict_scores
from seqeval.scheme import IOB2
from seqscore.encoding import get_encoding
from seqscore.scoring import ClassificationScore, score_label_sequences
from seqscore.validation import validate_labels

from khabar.document import DataError, Document, Mention
from khabar.formats.tags import spans
from khabar.metrics import Score, score
from khabar.scoring.sequences import Sequences, chunks

TEXT = "زار وزير الخارجية سامح شكري بغداد"
READINGS = ("strict", "repair", "discard", "seqeval")
Tags = list[str]


def scored(*pairs: tuple[Tags, Tags], seqeval: bool = True) -> dict[str, Any]:
    sequences = Sequences(seqeval)
    for gold, predicted in pairs:
        sequences.add_tags(gold, predicted)
    return sequences.to_json()


@pytest.mark.parametrize(
    ("tags", "sound", "orphans"),
    [
        ("O O O", [], []),
        ("B-PER I-PER O", [("PER", 0, 2)], []),
        ("B-PER B-PER I-PER", [("PER", 0, 1), ("PER", 1, 3)], []),
        ("O I-PER I-PER O", [], [("PER", 1, 3)]),  # one orphan: the second I continues it
        ("B-PER I-ORG I-PER", [("PER", 0, 1)], [("ORG", 1, 2), ("PER", 2, 3)]),
        ("B-PER O I-PER B-PER", [("PER", 0, 1), ("PER", 3, 4)], [("PER", 2, 3)]),
        ("I-Life:Be-Born", [], [("Life:Be-Born", 0, 1)]),
        ("", [], []),
    ],
)
def test_mentions_of_a_sequence(tags: str, sound: list[Any], orphans: list[Any]) -> None:
    assert chunks(tags.split()) == (sound, orphans)


def test_an_orphan_is_dropped_or_begins_a_mention() -> None:
    gold = "O O O B-PER I-PER B-GPE".split()
    record = scored((gold, "O O O I-PER I-PER B-GPE".split()))
    micro = {reading: record[reading]["micro"] for reading in READINGS}
    assert micro["repair"] == Score(2, 2, 2).to_json()
    assert micro["strict"] == micro["discard"] == micro["seqeval"] == Score(1, 1, 2).to_json()
    assert record["strict"]["types"]["PER"] == Score(0, 0, 1).to_json()
    assert record["invalid_transitions"] == {"gold": 0, "predicted": 1}
    assert json.loads(json.dumps(record)) == record
    assert "seqeval" not in scored((gold, gold), seqeval=False)


def test_nothing_to_score_is_zero() -> None:
    nothing = {"micro": Score().to_json(), "types": {}}
    expected = {**dict.fromkeys(READINGS, nothing), "invalid_transitions": {"gold": 0, "predicted": 0}}
    assert scored() == scored(([], [])) == scored((["O"], ["O"])) == expected


def test_entities_of_documents_are_tags_over_words() -> None:
    gold = Document("خبر", TEXT, entities=(Mention(18, 27, "PER"), Mention(28, 33, "GPE")))
    cases = [(gold, gold), (gold, replace(gold, entities=None)), (replace(gold, entities=None), gold)]
    sequences = Sequences()
    for pair in cases:
        sequences.add(*pair)
    record = sequences.to_json()
    assert all(record[reading]["micro"] == Score(2, 2, 4).to_json() for reading in READINGS)
    assert list(record["strict"]["types"]) == ["GPE", "PER"]


@pytest.mark.parametrize(
    ("gold", "predicted", "message"),
    [
        ("O", "O O", "sequence 1: 1 gold and 2 predicted tags"),
        ("O", "PER", "sequence 1: 'PER' is no IOB2 tag, expected O, B-type or I-type"),
        ("E-PER", "O", "'E-PER' is no IOB2 tag"),
        ("B-", "O", "'B-' is no IOB2 tag"),
    ],
)
def test_tags_that_cannot_be_scored_are_named(gold: str, predicted: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        scored((["B-PER"], ["O"]), (gold.split(), predicted.split()))
    with pytest.raises(DataError, match="'' is no IOB2 tag"):
        scored(([""], ["O"]))


# Any sequences, valid or not, of types with what types have in them: the same counts as the references.

any_tags = st.sampled_from(["O", *(f"{prefix}-{label}" for prefix in "BI" for label in ("PER", "ORG", "Life:Be-Born"))])
any_pair = st.integers(0, 9).flatmap(
    lambda n: st.tuples(*[st.lists(any_tags, min_size=n, max_size=n) for _ in ("gold", "predicted")])
)
any_pairs = st.lists(any_pair, min_size=1, max_size=5)


def ratios(function: Callable[..., Any], pairs: list[tuple[Tags, Tags]], **options: Any) -> dict[str, Any]:
    """What seqeval says of all types together, as its rows of precision, recall, F1, support."""
    gold, predicted = ([side[n] for side in pairs] for n in (0, 1))
    return dict(
        zip(
            ("precision", "recall", "f1", "gold"),
            function(gold, predicted, average="micro", zero_division=0, **options),
            strict=True,
        )
    )


@given(any_pairs)
def test_strict_is_seqeval_strict_and_repair_its_default(pairs: list[tuple[Tags, Tags]]) -> None:
    record = scored(*pairs)
    assert record["seqeval"] == record["strict"]
    for reading, theirs in {
        "strict": ratios(strict_scores, pairs, scheme=IOB2),
        "repair": ratios(precision_recall_fscore_support, pairs),
    }.items():
        assert {name: record[reading]["micro"][name] for name in theirs} == pytest.approx(theirs)


@given(any_pairs)
def test_strict_by_type_is_seqeval_strict_by_type(pairs: list[tuple[Tags, Tags]]) -> None:
    gold, predicted = ([side[n] for side in pairs] for n in (0, 1))
    types = scored(*pairs, seqeval=False)["strict"]["types"]
    if types:  # seqeval cannot average over none
        theirs = strict_scores(gold, predicted, average=None, scheme=IOB2, zero_division=0)
        for name, *row in zip(types, *theirs, strict=True):  # both in alphabetical order
            assert [types[name][ratio] for ratio in ("precision", "recall", "f1", "gold")] == pytest.approx(row)


@pytest.mark.parametrize(("reading", "method"), [("repair", "conlleval"), ("discard", "discard")])
@given(pairs=any_pairs)
def test_repair_and_discard_are_those_of_seqscore(reading: str, method: str, pairs: list[tuple[Tags, Tags]]) -> None:
    gold, predicted = ([side[n] for side in pairs] for n in (0, 1))
    theirs, _ = score_label_sequences(predicted, gold, "BIO", repair=method)
    record = scored(*pairs, seqeval=False)

    def counted(by: ClassificationScore) -> dict[str, float | int]:
        return Score(by.true_pos, by.true_pos + by.false_pos, by.true_pos + by.false_neg).to_json()

    assert record[reading]["micro"] == counted(theirs)
    assert record[reading]["types"] == {label: counted(by) for label, by in sorted(theirs.type_scores.items())}
    invalid = [sum(len(validate_labels(tags, get_encoding("BIO"))) for tags in side) for side in (gold, predicted)]
    assert list(record["invalid_transitions"].values()) == invalid


@given(any_pair)
def test_the_repaired_mentions_are_those_that_column_files_are_read_with(pair: tuple[Tags, Tags]) -> None:
    sound, orphans = chunks(pair[0])
    assert sorted((first, last, label) for label, first, last in sound + orphans) == spans(pair[0])


@given(any_pairs)
def test_strict_is_the_score_of_documents_with_a_word_a_code_point(pairs: list[tuple[Tags, Tags]]) -> None:
    def document(number: int, tags: Tags) -> Document:
        entities = tuple(Mention(first, last, label) for label, first, last in chunks(tags)[0])
        return Document(str(number), "ا" * len(tags), entities=entities)

    gold, predicted = ([document(n, side[i]) for n, side in enumerate(pairs)] for i in (0, 1))
    units = score(gold, predicted).units["entities"]
    types = {label: value.to_json() for label, value in units.types.items()}
    assert scored(*pairs)["strict"] == {"micro": units.micro.to_json(), "types": types}
