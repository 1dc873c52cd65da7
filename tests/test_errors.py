"""«قتل مسلحون الوزير في بغداد وجرحوا حارسه، واعتقلت الشرطة أحدهم»: what a mistake is, and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khabar.document import Document, Event, Mention
from khabar.metrics import score
from khabar.scoring.errors import Errors

TEXT = "قتل مسلحون الوزير في بغداد وجرحوا حارسه، واعتقلت الشرطة أحدهم"


def mention(words: str, label: str, probability: float | None = None) -> Mention:
    start = TEXT.index(words)
    return Mention(start, start + len(words), label, probability)


KILLING = Event(
    mention("قتل", "Die"),
    (mention("مسلحون", "Agent"), mention("الوزير", "Victim"), mention("بغداد", "Place")),
)
WOUNDING = Event(mention("جرحوا", "Injure"), (mention("مسلحون", "Agent"), mention("حارسه", "Victim")))
GOLD = Document(
    "خبر",
    TEXT,
    entities=(mention("مسلحون", "PER"), mention("الوزير", "PER"), mention("بغداد", "GPE")),
    events=(KILLING, WOUNDING),
)


def errors(predicted: Document, gold: Document = GOLD) -> dict[str, Any]:
    collected = Errors()
    collected.add(gold, predicted)
    return collected.to_json()


def events(*predicted: Event) -> Document:
    return replace(GOLD, events=predicted)


def propagation(*predicted: Event) -> dict[str, int]:
    """What became of the five arguments in gold, and of those predicted; without zeros."""
    return {name: number for name, number in errors(events(*predicted))["propagation"].items() if number}


def test_gold_against_itself_holds_no_mistake() -> None:
    found = errors(GOLD)
    assert found["confusion"]["entities"] == {"GPE": {"GPE": 1}, "PER": {"PER": 2}}
    assert found["confusion"]["roles"] == {"Agent": {"Agent": 2}, "Place": {"Place": 1}, "Victim": {"Victim": 2}}
    assert found["boundaries"] == {"start": {}, "end": {}}
    assert propagation(KILLING, WOUNDING) == {"correct": 5}
    assert found["worst"] == []


def test_confusion_of_types() -> None:
    found = errors(
        replace(GOLD, entities=(mention("الوزير في", "ORG"), mention("بغداد", "GPE"), mention("حارسه", "PER")))
    )
    assert found["confusion"]["entities"] == {
        "GPE": {"GPE": 1},
        "PER": {"ORG": 1, "missed": 1},  # of overlapping spans too
        "spurious": {"PER": 1},
    }


def test_an_edge_that_layers_share_is_one_mistake() -> None:
    wide = mention("في بغداد", "GPE")
    killing = replace(KILLING, arguments=(*KILLING.arguments[:2], replace(wide, label="Place")))
    predicted = replace(GOLD, entities=(*(GOLD.entities or ())[:2], wide), events=(killing, WOUNDING))
    assert errors(predicted)["boundaries"] == {"start": {"further word in prediction": 1}, "end": {}}


def test_arguments_are_lost_with_their_trigger() -> None:
    assert propagation(KILLING) == {"correct": 3, "arguments lost with a missed trigger": 2}
    assert propagation() == {"arguments lost with a missed trigger": 5}
    arrest = Event(mention("اعتقلت", "Arrest"), (mention("الشرطة", "Agent"), mention("أحدهم", "Person")))
    assert propagation(KILLING, WOUNDING, arrest) == {"correct": 5, "arguments of spurious triggers": 2}


def test_arguments_of_a_mistyped_trigger_are_wrong_on_both_sides() -> None:
    attack = replace(KILLING, trigger=mention("قتل", "Attack"), arguments=KILLING.arguments[:1])
    assert propagation(attack, WOUNDING) == {
        "correct": 2,
        "arguments lost with a mistyped trigger": 3,
        "arguments of mistyped triggers": 1,
    }


def test_a_trigger_with_a_wrong_edge_and_its_type_is_right() -> None:
    assert propagation(replace(KILLING, trigger=mention("قتل مسلحون", "Die")), WOUNDING) == {"correct": 5}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {"missed under a right trigger": 3}),
        ([*KILLING.arguments, mention("حارسه", "Victim")], {"correct": 3, "spurious under a right trigger": 1}),
        ([*KILLING.arguments[:2], mention("في بغداد", "Place")], {"correct": 2, "wrong span": 1}),
        ([*KILLING.arguments[:2], mention("بغداد", "Time")], {"correct": 2, "wrong role": 1}),
        ([*KILLING.arguments[:2], mention("في بغداد", "Time")], {"correct": 2, "wrong span and role": 1}),
    ],
)
def test_what_becomes_of_arguments_under_a_right_trigger(arguments: list[Mention], expected: dict[str, int]) -> None:
    assert propagation(replace(KILLING, arguments=tuple(arguments)), WOUNDING) == expected | {
        "correct": expected.get("correct", 0) + 2
    }


def test_one_trigger_word_with_two_types() -> None:
    attack = replace(KILLING, trigger=mention("قتل", "Attack"))
    found = errors(events(KILLING), events(KILLING, attack))
    assert found["confusion"]["triggers"] == {"Attack": {"missed": 1}, "Die": {"Die": 1}}
    assert found["propagation"]["arguments lost with a missed trigger"] == 3


def test_two_events_of_one_trigger_and_type_are_one() -> None:
    halves = [replace(KILLING, arguments=KILLING.arguments[:2]), replace(KILLING, arguments=KILLING.arguments[1:])]
    assert propagation(*halves, WOUNDING) == {"correct": 5}


def test_the_worst_mistakes_come_first() -> None:
    arrest = Event(mention("اعتقلت", "Arrest", 0.9), (mention("الشرطة", "Agent", 0.4),))
    entities = (mention("مسلحون", "ORG", 0.6), mention("الوزير في", "PER", 0.8), mention("الشرطة", "ORG", 0.3))
    worst = errors(replace(events(arrest, WOUNDING), entities=entities))["worst"]
    assert [(found["layer"], found["kind"], found["cost"]) for found in worst] == [
        ("triggers", "missed", 4),  # itself and its three arguments
        ("triggers", "spurious", 2),  # of equal cost the more confident first
        ("entities", "boundary", 2),
        ("entities", "type", 2),
        ("entities", "spurious", 1),
        ("entities", "missed", 1),
    ]
    assert worst[0]["gold"] == {"start": 0, "end": 3, "label": "Die", "text": "قتل"}
    assert worst[0]["predicted"] is None
    assert worst[1]["predicted"]["score"] == 0.9
    assert worst[1]["gold"] is None
    assert {found["id"] for found in worst} == {"خبر"}


def test_a_trigger_of_the_wrong_type_costs_the_units_of_both_sides() -> None:
    attack = replace(KILLING, trigger=mention("قتل", "Attack"), arguments=KILLING.arguments[:1])
    (only,) = errors(events(attack, WOUNDING))["worst"]
    assert (only["layer"], only["kind"], only["cost"]) == ("triggers", "type", 1 + 3 + 1 + 1)


def test_a_mistake_is_shown_in_its_context_with_words_whole() -> None:
    text = "كلمة " * 40 + "وبغداد" + " كلمة" * 40
    start = text.index("بغداد")
    document = Document("طويل", text, entities=(Mention(start, start + 5, "GPE"),))
    (only,) = errors(replace(document, entities=(Mention(start - 1, start + 5, "GPE", 0.5),)), document)["worst"]
    offset = only["context_start"]
    assert only["context"][start - offset : start - offset + 5] == only["gold"]["text"] == "بغداد"
    assert set(only["context"].split()) == {"كلمة", "وبغداد"}
    assert text[offset:].startswith(only["context"])
    assert 60 < len(only["context"]) < 130


def test_a_text_without_spaces_is_cut_where_the_context_ends() -> None:
    document = Document("سطر", "ب" * 500, entities=(Mention(200, 210, "GPE"),))
    (only,) = errors(replace(document, entities=()), document)["worst"]
    assert (only["context_start"], len(only["context"])) == (140, 130)


def test_twenty_mistakes_are_kept_the_earliest_of_equals() -> None:
    collected = Errors()
    for number in range(50):
        collected.add(replace(GOLD, id=str(number)), replace(GOLD, id=str(number), entities=(), events=(WOUNDING,)))
    worst = collected.to_json()["worst"]
    assert [found["id"] for found in worst] == [str(number) for number in range(20)]
    assert {(found["layer"], found["cost"]) for found in worst} == {("triggers", 4)}


def test_layers_that_gold_does_not_have_are_left_out() -> None:
    found = errors(GOLD, replace(GOLD, events=None))
    assert list(found) == ["confusion", "boundaries", "facets", "worst"]
    assert list(found["confusion"]) == ["entities"]
    found = errors(replace(GOLD, events=None), replace(GOLD, entities=None))
    assert list(found["confusion"]) == ["triggers", "roles"]
    assert found["propagation"]["arguments lost with a missed trigger"] == 5
    nothing: dict[str, Any] = {"confusion": {}, "boundaries": {"start": {}, "end": {}}, "facets": {}, "worst": []}
    assert Errors().to_json() == nothing


def test_neither_torch_nor_a_tokenizer_is_needed() -> None:
    code = (
        "import sys, khabar.scoring.errors, khabar.scoring.reliability\n"
        "sys.exit(bool({'torch', 'transformers'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


spans = st.tuples(st.integers(0, 9), st.integers(1, 3)).map(lambda s: (s[0], s[0] + s[1]))


def mentions(labels: str) -> st.SearchStrategy[Mention]:
    probability = st.one_of(st.none(), st.floats(0, 1))
    return st.builds(lambda s, label, p: Mention(s[0], s[1], label, p), spans, st.sampled_from(labels), probability)


any_event = st.builds(Event, mentions("TU"), st.lists(mentions("RS"), max_size=3).map(tuple))
layers = st.lists(any_event, max_size=3).map(tuple)
words = st.text(st.sampled_from("وبالسـَ «»1\u200f"), min_size=12, max_size=12)


@given(words, layers, layers)
def test_every_mention_is_accounted_for_once(text: str, gold: tuple[Event, ...], predicted: tuple[Event, ...]) -> None:
    documents = Document("نص", text, events=gold), Document("نص", text, events=predicted)
    found = errors(documents[1], documents[0])
    confusion, units = found["confusion"], score(documents[:1], documents[1:]).units
    for layer, kind in (("triggers", "TC"), ("roles", "AC+")):
        columns = Counter[str]()
        for label, row in confusion[layer].items():
            columns.update(row)
            if label != "spurious" and kind == "TC":
                assert sum(row.values()) == units[kind].types[label].gold
        spurious = confusion[layer].get("spurious", {})
        assert sum(columns.values()) - sum(spurious.values()) == units[kind].micro.gold
        assert sum(columns.values()) - columns["missed"] == units[kind].micro.predicted
    became = found["propagation"]
    under = became["correct"] + became["wrong span"] + became["wrong role"] + became["wrong span and role"]
    lost = became["arguments lost with a missed trigger"] + became["arguments lost with a mistyped trigger"]
    made_up = became["arguments of spurious triggers"] + became["arguments of mistyped triggers"]
    assert under + lost + became["missed under a right trigger"] == units["AC+"].micro.gold
    assert under + made_up + became["spurious under a right trigger"] == units["AC+"].micro.predicted
    assert became["correct"] >= units["AC+"].micro.correct  # a trigger's edge does not count here
    right = [units[kind].micro for kind in ("TC", "AC+")]
    assert (found["worst"] == []) == all(micro.correct == micro.predicted == micro.gold for micro in right)
    costs = [(mistake["cost"], (mistake["predicted"] or {}).get("score", 0.0)) for mistake in found["worst"]]
    assert costs == sorted(costs, reverse=True)
    for mistake in found["worst"]:
        for side in ("gold", "predicted"):
            if shown := mistake[side]:
                start = shown["start"] - mistake["context_start"]
                assert mistake["context"][start : start + len(shown["text"])] == shown["text"]
    assert json.loads(json.dumps(found)) == found
