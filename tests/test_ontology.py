"""«قتل مسلحون الوزير»: an ontology says that a killing has an agent and a victim, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from khabar.document import DataError, Document, Event, Mention
from khabar.ontology import EventType, Ontology

ONTOLOGY = Ontology(
    "أحداث",
    entities={"PER": "شخص"},
    events={"Die": EventType("موت", ("Agent", "Victim")), "Meet": EventType("لقاء", ("Entity", "Agent"))},
)
DOCUMENT = Document(
    "خبر",
    "قتل مسلحون الوزير",
    entities=(Mention(4, 10, "PER"),),
    events=(Event(Mention(0, 3, "Die"), (Mention(4, 10, "Agent"), Mention(11, 17, "Victim"))),),
)


def test_roles_of_all_event_types_in_order_of_appearance() -> None:
    assert ONTOLOGY.roles == ("Agent", "Victim", "Entity")
    assert Ontology("فارغ").roles == ()


def test_what_is_admitted_passes_through() -> None:
    assert ONTOLOGY.check(DOCUMENT) is DOCUMENT
    bare = Document("خبر", "نص")
    assert Ontology("فارغ").check(bare) is bare
    assert hash(ONTOLOGY) == hash(Ontology.from_json(**ONTOLOGY.to_json()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"entities": (Mention(4, 10, "ORG"),)},
            r"document 'خبر': entity type 'ORG' at 4 is not in ontology 'أحداث', expected one of \['PER'\]",
        ),
        (
            {"events": (Event(Mention(0, 3, "Kill")),)},
            r"document 'خبر': event type 'Kill' at 0 is not .* expected one of \['Die', 'Meet'\]",
        ),
        (
            {"events": (Event(Mention(0, 3, "Die"), (Mention(4, 10, "Entity"),)),)},
            r"document 'خبر': Die at 0 admits no role 'Entity', expected one of \['Agent', 'Victim'\]",
        ),
    ],
)
def test_what_is_not_admitted_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ONTOLOGY.check(replace(DOCUMENT, **change))


def test_plain_data_and_back() -> None:
    assert ONTOLOGY.to_json() == {
        "name": "أحداث",
        "entities": {"PER": "شخص"},
        "events": {
            "Die": {"gloss": "موت", "roles": ["Agent", "Victim"]},
            "Meet": {"gloss": "لقاء", "roles": ["Entity", "Agent"]},
        },
    }
    assert Ontology.from_json("فارغ") == Ontology("فارغ")


names = st.text(min_size=1, max_size=8)
event_types = st.builds(EventType, names, st.lists(names, max_size=3, unique=True).map(tuple))


@given(st.builds(Ontology, names, st.dictionaries(names, names), st.dictionaries(names, event_types)))
def test_every_ontology_comes_back_from_plain_data(ontology: Ontology) -> None:
    assert Ontology.from_json(**ontology.to_json()) == ontology


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            {"events": {"Die": {"roles": []}}},
            "ontology 'س': event type 'Die' needs a gloss and a list of roles",
        ),
        ({"events": {"Die": {"gloss": "موت"}}}, "event type 'Die' needs"),
        ({"events": {"Die": {"gloss": "موت", "roles": "Agent"}}}, "event type 'Die' needs"),
        ({"events": {"Die": None}}, "event type 'Die' needs"),
        ({"events": ["Die"]}, r"ontology 'س': expected events as a mapping, got \['Die'\]"),
        ({"entities": ["PER", "ORG"]}, "ontology 'س': expected entities as a mapping"),
        ({"entities": {"PER": None}}, "ontology 'س': entity type 'PER' needs a gloss, got None"),
        ({"entities": {False: "لا"}}, "entity type False needs"),  # YAML reads an unquoted NO so
    ],
)
def test_data_that_is_no_ontology_is_named(layers: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Ontology.from_json("س", **layers)


def test_a_file_is_read_without_the_keys_of_hydra(tmp_path: Path) -> None:
    record = {"_target_": "khabar.ontology.Ontology.from_json", "_convert_": "all"} | ONTOLOGY.to_json()
    path = tmp_path / "ontology.yaml"
    path.write_text(yaml.safe_dump(record, allow_unicode=True), encoding="utf-8")
    assert Ontology.load(path) == ONTOLOGY


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- PER", "expected a mapping with name, entities, events"),
        ("", "expected a mapping with name, entities, events"),
        ("entities: {PER: شخص}", "expected the keys name, entities, events"),
        ("{name: س, roles: {}}", "expected the keys name, entities, events .*roles"),
        ("{name: س, entities: [PER]}", "ontology 'س': expected entities as a mapping"),
        ("{name: س, 1: x}", "expected the keys name, entities, events"),
        ("{name: س", "not YAML: .*line 1"),
    ],
)
def test_a_file_that_is_no_ontology_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "ontology.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=f"(?s)ontology.yaml: {message}"):
        Ontology.load(path)


def test_shipped_ontologies_load() -> None:
    folder = Path(__file__).parents[1] / "configs" / "ontology"
    for path in folder.glob("*.yaml"):
        ontology = Ontology.load(path)
        assert ontology.entities or ontology.events
        assert all(event.gloss for event in ontology.events.values())
