"""«قتل مسلحون جنديا في بغداد، ثم قتل المسلحون آخر في بغداد»: who fills a role of a document, wherever it says so."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khabar.document import Document, Event, Mention
from khabar.metrics import Score
from khabar.scoring.ceaf import Ceaf, assigned

TEXT = "قتل مسلحون جنديا في بغداد، ثم قتل المسلحون آخر في بغداد، وقتلت إيران اخر من ايران"


def at(surface: str, label: str, nth: int = 0) -> Mention:
    start = -1
    for _ in range(nth + 1):
        start = TEXT.index(surface, start + 1)
    return Mention(start, start + len(surface), label)


def filled(*arguments: Mention, trigger: Mention | None = None) -> Document:
    return Document("خبر", TEXT, events=(Event(trigger or at("قتل", "Die"), arguments),))


def micro(gold: Document, predicted: Document, match: str = "raw", **options: Any) -> Score:
    collector = Ceaf(**options)
    collector.add(gold, predicted)
    record = collector.to_json()[match]["micro"]
    return Score(record["correct"], record["predicted"], record["gold"])


BAGHDAD, AGAIN = at("بغداد", "Place"), at("بغداد", "Place", nth=1)
AGENT, VICTIM = at("مسلحون", "Agent"), at("جنديا", "Victim")


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ([AGENT, VICTIM, BAGHDAD], [AGENT, VICTIM, BAGHDAD], Score(3, 3, 3)),
        ([BAGHDAD], [AGAIN], Score(1, 1, 1)),  # another occurrence is the same entity
        ([BAGHDAD, AGAIN], [BAGHDAD], Score(1, 1, 1)),  # the same surface twice is one
        ([BAGHDAD], [BAGHDAD, AGAIN, BAGHDAD], Score(1, 1, 1)),  # duplicates
        ([AGENT], [replace(AGENT, label="Victim")], Score(0, 1, 1)),
        ([AGENT, replace(AGENT, label="Victim")], [AGENT], Score(1, 1, 2)),  # one span in two roles
        ([AGENT], [at("المسلحون", "Agent")], Score(0, 1, 1)),
        ([AGENT], [], Score(0, 0, 1)),
        ([], [AGENT], Score(0, 1, 0)),
        ([], [], Score()),
        ([at("قتل", "Agent")], [at("قتل", "Agent")], Score(1, 1, 1)),  # offset 0
    ],
)
def test_fillers_are_surfaces_of_a_role(gold: list[Mention], predicted: list[Mention], expected: Score) -> None:
    assert micro(filled(*gold), filled(*predicted)) == expected


def test_which_trigger_they_belong_to_makes_no_difference() -> None:
    second = Event(at("قتل", "Die", nth=1), (BAGHDAD,))
    gold = Document("خبر", TEXT, events=(Event(at("قتل", "Die"), (AGENT, BAGHDAD)), second))  # one argument, two events
    assert micro(gold, filled(AGENT, AGAIN, trigger=second.trigger)) == Score(2, 2, 2)
    attack = Event(at("قتل", "Attack"), (AGENT, AGAIN))
    assert micro(gold, replace(gold, events=(attack,))) == Score(0, 2, 2)  # but the event type does
    assert micro(replace(gold, events=(second,)), replace(gold, events=(attack, second))) == Score(1, 3, 1)


def test_surfaces_are_compared_as_written_and_folded() -> None:
    gold, predicted = filled(at("إيران", "Agent")), filled(at("ايران", "Agent"))
    assert micro(gold, predicted) == Score(0, 1, 1)
    assert micro(gold, predicted, "normalised") == Score(1, 1, 1)
    both = filled(at("إيران", "Agent"), at("ايران", "Agent"))
    assert (micro(both, gold), micro(both, gold, "normalised")) == (Score(1, 1, 2), Score(1, 1, 1))


def test_an_entity_of_two_names_is_found_once() -> None:
    names = {"مسلحون": "المسلحون", "المسلحون": "المسلحون"}

    def coreference(document: Document, mention: Mention) -> str:
        surface = document.surface(mention)
        return names.get(surface, surface) if document.meta.get("gold") else surface

    one = replace(filled(AGENT, at("المسلحون", "Agent")), meta={"gold": True})
    assert micro(one, filled(AGENT), entity=coreference) == Score(1, 1, 1)
    assert micro(one, filled(AGENT, at("المسلحون", "Agent")), entity=coreference) == Score(1, 2, 1)
    assert micro(one, one, entity=coreference) == Score(1, 1, 1)
    assert micro(filled(AGENT), one, entity=coreference) == Score(0, 1, 1)  # it says more than gold does


def test_layers_that_are_not_there() -> None:
    gold = filled(AGENT)
    assert micro(replace(gold, events=None), gold) == Score()
    assert micro(replace(gold, events=()), gold) == Score(0, 1, 0)
    assert micro(gold, replace(gold, events=None)) == micro(gold, replace(gold, events=())) == Score(0, 0, 1)


def test_json_has_types_and_roles_that_add_up() -> None:
    collector = Ceaf()
    collector.add(filled(AGENT, VICTIM, BAGHDAD), filled(AGENT, BAGHDAD))
    collector.add(filled(AGENT), filled(AGENT, trigger=at("قتل", "Attack")))  # another document
    record = collector.to_json()
    assert list(record) == ["raw", "normalised"]
    assert record["raw"]["micro"] == Score(2, 3, 4).to_json()
    assert record["raw"]["types"] == {"Attack": Score(0, 1, 0).to_json(), "Die": Score(2, 2, 4).to_json()}
    roles = {"Agent": Score(1, 2, 2), "Place": Score(1, 1, 1), "Victim": Score(0, 0, 1)}
    assert record["raw"]["roles"] == {role: found.to_json() for role, found in roles.items()}
    assert json.loads(json.dumps(record)) == record
    nothing = {"micro": Score().to_json(), "types": {}, "roles": {}}
    assert Ceaf().to_json() == {"raw": nothing, "normalised": nothing}


clusters = st.lists(st.sets(st.sampled_from("أبجد"), min_size=1), max_size=4)


@given(clusters, clusters)
def test_the_assignment_is_the_best_of_all(gold: list[set[str]], predicted: list[set[str]]) -> None:
    few, many = sorted((gold, predicted), key=len)

    def fits(one: set[str], other: set[str]) -> bool:
        return one <= other if few is predicted else other <= one

    best = max(sum(map(fits, few, order)) for order in permutations(many, len(few)))
    assert assigned(gold, predicted) == best


@given(st.lists(st.sampled_from("أبجد"), unique=True), st.lists(st.sampled_from("أبجد"), unique=True))
def test_without_coreference_it_is_an_intersection(gold: list[str], predicted: list[str]) -> None:
    assert assigned([{g} for g in gold], [{p} for p in predicted]) == len(set(gold) & set(predicted))
