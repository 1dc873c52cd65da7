"""«قتل مسلحون الوزير في بغداد وجرحوا حارسه»: its entities and events, and what may go wrong with them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from khabar.document import DataError, Document, Event, Mention
from khabar.metrics import Score, Scorer, Scores, Tally, UnitScores, pairs, score
from khabar.tables import tables

TEXT = "قتل مسلحون الوزير في بغداد وجرحوا حارسه"
KINDS = ["entities", "entities_untyped", "TI", "TC", "AI", "AC", "AI+", "AC+"]


def mention(words: str, label: str) -> Mention:
    start = TEXT.index(words)
    return Mention(start, start + len(words), label)


KILLING = Event(
    mention("قتل", "Die"),  # offset 0
    (mention("مسلحون", "Agent"), mention("الوزير", "Victim"), mention("بغداد", "Place")),
)
WOUNDING = Event(mention("جرحوا", "Injure"), (mention("مسلحون", "Agent"), mention("حارسه", "Victim")))
GOLD = Document(
    "خبر",
    TEXT,
    entities=(mention("مسلحون", "PER"), mention("الوزير", "PER"), mention("بغداد", "GPE")),
    events=(KILLING, WOUNDING),
)


def counts(gold: Document, predicted: Document) -> dict[str, tuple[int, int, int]]:
    """Correct, predicted and gold units of each kind."""
    units = score([gold], [predicted]).units
    return {name: (u.micro.correct, u.micro.predicted, u.micro.gold) for name, u in units.items()}


def events(*predicted: Event) -> Document:
    return replace(GOLD, events=predicted)


def test_gold_against_itself_is_perfect() -> None:
    scores = score([GOLD], [GOLD])
    assert list(scores.units) == KINDS
    assert all(units.micro.f1 == 1.0 for units in scores.units.values())
    assert scores.documents == {"entities": 1, "events": 1}
    assert scores.headline() == {"entities_f1": 1.0, "triggers_f1": 1.0, "arguments_f1": 1.0}


def test_a_score_is_three_counts_and_undefined_ratios_are_zero() -> None:
    some = Score(correct=1, predicted=2, gold=4)
    assert (some.precision, some.recall) == (0.5, 0.25)
    assert some.f1 == pytest.approx(1 / 3)
    assert some + Score(1, 1, 0) == Score(2, 3, 4)
    for empty in (Score(), Score(0, 3, 0), Score(0, 0, 3)):
        assert (empty.precision, empty.recall, empty.f1) == (0.0, 0.0, 0.0)
    assert Score().to_json() == dict.fromkeys(("precision", "recall", "f1"), 0.0) | dict.fromkeys(
        ("correct", "predicted", "gold"), 0
    )


def test_an_entity_needs_both_boundaries_and_its_type() -> None:
    predicted = replace(
        GOLD,
        entities=(
            mention("مسلحون", "ORG"),  # wrong type
            mention("الوزير في", "PER"),  # wrong boundary
            mention("بغداد", "GPE"),
        ),
    )
    units = score([GOLD], [predicted]).units
    assert units["entities"].micro == Score(1, 3, 3)
    assert units["entities_untyped"].micro == Score(2, 3, 3)
    assert units["entities"].types == {"GPE": Score(1, 1, 1), "ORG": Score(0, 1, 0), "PER": Score(0, 1, 2)}
    assert units["entities"].macro_f1 == 0.5  # over GPE and PER: ORG has no support
    assert UnitScores().macro_f1 == 0.0


def test_a_wrong_event_type_is_identified_but_not_classified_and_takes_its_arguments_with_it() -> None:
    wrong = replace(KILLING, trigger=replace(KILLING.trigger, label="Attack"))
    assert counts(GOLD, events(wrong, WOUNDING)) == {
        "entities": (3, 3, 3),
        "entities_untyped": (3, 3, 3),
        "TI": (2, 2, 2),
        "TC": (1, 2, 2),
        "AI": (2, 5, 5),
        "AC": (2, 5, 5),
        "AI+": (2, 5, 5),
        "AC+": (2, 5, 5),
    }


def test_arguments_of_a_missed_trigger_are_missed() -> None:
    found = counts(GOLD, events(KILLING))
    assert found["TC"] == (1, 1, 2)
    assert found["AC"] == (3, 3, 5)


def test_a_wrong_role_is_identified_and_not_classified() -> None:
    wrong = replace(KILLING, arguments=(mention("مسلحون", "Victim"), *KILLING.arguments[1:]))
    scores = score([GOLD], [events(wrong, WOUNDING)])
    found = {name: units.micro.correct for name, units in scores.units.items()}
    assert (found["AI"], found["AC"], found["AI+"], found["AC+"]) == (5, 4, 5, 4)
    assert scores.units["AC"].types == {"Die": Score(2, 3, 3), "Injure": Score(2, 2, 2)}
    assert scores.units["AC"].roles["Agent"] == Score(1, 1, 2)
    assert scores.units["AC"].roles["Victim"] == Score(2, 3, 2)


def test_an_argument_of_the_wrong_trigger_counts_until_attachment_is_asked_for() -> None:
    moved = replace(KILLING, trigger=replace(KILLING.trigger, end=KILLING.trigger.end + 1))
    found = counts(GOLD, events(moved, WOUNDING))
    assert found["TI"] == (1, 2, 2)
    assert found["AI"] == found["AC"] == (5, 5, 5)
    assert found["AI+"] == found["AC+"] == (2, 5, 5)


@pytest.mark.parametrize("nothing", [(), None])
def test_empty_prediction(nothing: tuple[()] | None) -> None:
    scores = score([GOLD], [replace(GOLD, entities=nothing, events=nothing)])
    assert scores.units["entities"].micro == Score(0, 0, 3)
    assert scores.units["AC+"].micro == Score(0, 0, 5)
    assert set(scores.headline().values()) == {0.0}


def test_empty_gold_is_scored_and_an_unannotated_layer_is_not() -> None:
    scores = score([replace(GOLD, entities=(), events=None)], [GOLD])
    assert list(scores.units) == ["entities", "entities_untyped"]
    assert scores.units["entities"].micro == Score(0, 3, 0)
    assert scores.documents == {"entities": 1}
    assert scores.headline() == {"entities_f1": 0.0}
    assert score([replace(GOLD, entities=None, events=None)], [GOLD]) == score([], []) == Scores({}, {})
    assert score([], []).to_json() == {"documents": {}}


def test_each_layer_is_scored_where_gold_has_it() -> None:
    gold = [replace(GOLD, id="أ", entities=None), replace(GOLD, id="ب", events=None), replace(GOLD, id="ج")]
    scores = score(gold, [replace(GOLD, id=i) for i in "جبأ"])  # in any order
    assert scores.documents == {"entities": 2, "events": 2}
    assert scores.units["entities"].micro == Score(6, 6, 6)
    assert scores.units["TC"].micro == Score(4, 4, 4)


def test_triggers_alone_have_no_headline_for_arguments() -> None:
    gold = events(Event(KILLING.trigger), Event(WOUNDING.trigger))
    scores = score([gold], [GOLD])
    assert scores.headline() == {"entities_f1": 1.0, "triggers_f1": 1.0}
    assert scores.units["AC"].micro == Score(0, 5, 0)


def test_duplicates_count_once() -> None:
    twice = replace(KILLING, arguments=(*KILLING.arguments, *KILLING.arguments))
    assert counts(GOLD, events(twice, twice, KILLING, WOUNDING)) == counts(GOLD, GOLD)
    assert counts(events(twice, twice, WOUNDING), GOLD) == counts(GOLD, GOLD)


def test_the_same_surface_twice_is_two_mentions() -> None:
    text = "بغداد غير بغداد"
    gold = Document("د", text, entities=(Mention(0, 5, "GPE"), Mention(10, 15, "GPE")))
    assert counts(gold, replace(gold, entities=(Mention(10, 15, "GPE"),)))["entities"] == (1, 1, 2)


def test_the_same_span_in_two_documents_is_two_mentions() -> None:
    gold = [replace(GOLD, id="أ"), replace(GOLD, id="ب")]
    assert score(gold, [gold[0], replace(gold[1], entities=())]).units["entities"].micro == Score(3, 3, 6)


def test_one_span_in_two_roles_is_one_identification_and_two_classifications() -> None:
    both = Event(KILLING.trigger, (mention("مسلحون", "Agent"), mention("مسلحون", "Victim")))
    found = counts(events(both), events(Event(KILLING.trigger, (mention("مسلحون", "Agent"),))))
    assert found["AI"] == found["AI+"] == (1, 1, 1)
    assert found["AC"] == found["AC+"] == (1, 1, 2)


def test_one_argument_in_two_events_of_a_type_is_one_unit_until_attached() -> None:
    place = mention("بغداد", "Place")
    two = (Event(mention("قتل", "Die"), (place,)), Event(mention("جرحوا", "Die"), (place,)))
    found = counts(events(*two), events(two[0], Event(two[1].trigger)))
    assert found["AI"] == found["AC"] == (1, 1, 1)
    assert found["AI+"] == found["AC+"] == (1, 1, 2)


def test_one_trigger_word_with_two_event_types() -> None:
    attack = replace(KILLING, trigger=replace(KILLING.trigger, label="Attack"))
    found = counts(events(KILLING, attack), events(attack))
    assert found["TI"] == (1, 1, 1)
    assert found["TC"] == (1, 1, 2)
    assert found["AC"] == found["AC+"] == (3, 3, 6)


def test_the_probability_of_a_mention_is_no_part_of_it() -> None:
    sure = replace(GOLD, entities=tuple(replace(m, score=0.7) for m in GOLD.entities or ()))
    assert counts(GOLD, sure) == counts(GOLD, GOLD)


def test_a_mention_at_offset_0_is_a_mention() -> None:
    first, moved = mention("قتل", "Die"), replace(mention("قتل", "Die"), start=1)
    gold = Document("د", TEXT, entities=(first,), events=(Event(first, (replace(first, label="Agent"),)),))
    assert set(counts(gold, gold).values()) == {(1, 1, 1)}
    late = replace(gold, entities=(moved,), events=(Event(moved, (replace(moved, label="Agent"),)),))
    assert set(counts(gold, late).values()) == {(0, 1, 1)}


def test_a_scorer_says_the_share_of_each_document() -> None:
    scorer = Scorer()
    shares = scorer.add(GOLD, replace(GOLD, entities=GOLD.entities and GOLD.entities[:1], events=(KILLING,)))
    assert shares == {
        "entities": (1, 1, 3),
        "entities_untyped": (1, 1, 3),
        "TI": (1, 1, 2),
        "TC": (1, 1, 2),
        **dict.fromkeys(("AI", "AC", "AI+", "AC+"), (3, 3, 5)),
    }
    assert scorer.add(replace(GOLD, entities=None, events=()), GOLD) == {
        **dict.fromkeys(("TI", "TC"), (0, 2, 0)),
        **dict.fromkeys(("AI", "AC", "AI+", "AC+"), (0, 5, 0)),
    }
    assert scorer.add(replace(GOLD, entities=None, events=None), GOLD) == {}
    assert scorer.scores().documents == {"entities": 1, "events": 2}
    assert scorer.scores().units["TC"].micro == Score(1, 3, 2)
    assert scorer.to_json() == scorer.scores().to_json()


def test_a_tally_counts_labels_of_either_side() -> None:
    tally = Tally({"types": 0})
    assert tally.add({("GPE", 0), ("ORG", 3)}, {("GPE", 0), ("PER", 3)}) == (1, 2, 2)
    assert tally.add(set(), set()) == (0, 0, 0)
    assert tally.add({("GPE", 1)}, set()) == (0, 0, 1)
    types = {"GPE": Score(1, 1, 2), "ORG": Score(0, 0, 1), "PER": Score(0, 1, 0)}
    assert tally.scores() == UnitScores(Score(1, 2, 3), types)


@pytest.mark.parametrize(
    ("gold", "predicted", "message"),
    [
        ([GOLD], [], "'خبر' is in gold and was not predicted"),
        ([], [GOLD, replace(GOLD, id="آخر")], "not in gold: 'آخر', 'خبر'"),
        ([GOLD], [GOLD, GOLD], "'خبر' occurs twice among the predicted"),
        ([GOLD, GOLD], [GOLD], "'خبر' occurs twice among the gold"),
        ([GOLD], [replace(GOLD, text=TEXT + "م")], "'خبر': gold and predicted text differ"),
    ],
)
def test_documents_that_do_not_pair_up_are_named(gold: list[Document], predicted: list[Document], message: str) -> None:
    with pytest.raises(DataError, match=message):
        score(gold, predicted)


def test_documents_in_one_order_are_read_in_step() -> None:
    read: list[str] = []

    def stream(side: str) -> Iterator[Document]:
        for name in "أبج":
            read.append(side + name)
            yield replace(GOLD, id=name)

    at_each_pair = [len(read) for _ in pairs(stream("gold "), stream("predicted "))]
    assert at_each_pair == [2, 4, 6]  # no document is read before its turn


@given(st.permutations(range(6)))
def test_pairs_come_in_the_order_of_gold(order: list[int]) -> None:
    gold = [replace(GOLD, id=str(n)) for n in range(6)]
    found = list(pairs(gold, (replace(gold[n], events=None) for n in order)))
    assert [g for g, _ in found] == gold
    assert all(g.id == p.id and p.events is None for g, p in found)


@pytest.mark.parametrize(
    ("predicted", "message"),
    [("أبأ", "'أ' occurs twice among the predicted"), ("بججأ", "'ج' occurs twice"), ("جأبد", "not in gold: 'ج', 'د'")],
)
def test_what_is_predicted_too_often_is_found_behind_the_last_pair(predicted: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(pairs((replace(GOLD, id=name) for name in "أب"), (replace(GOLD, id=name) for name in predicted)))


def test_json_has_the_same_shape_whatever_is_predicted() -> None:
    record = score([GOLD], [events()]).to_json()
    assert list(record) == ["documents", *KINDS]
    assert list(record["TI"]) == ["micro"]
    assert list(record["entities"]) == list(record["TC"]) == ["micro", "macro_f1", "types"]
    assert list(record["AC"]) == ["micro", "macro_f1", "types", "roles"]
    assert list(record["AC"]["roles"]) == ["Agent", "Place", "Victim"]
    assert record["TC"]["types"]["Die"] == Score(0, 0, 1).to_json()
    assert json.loads(json.dumps(record)) == record


def rendered(report: list[Table]) -> str:
    console = Console(width=160, file=io.StringIO())
    with console.capture() as capture:
        for table in report:
            console.print(table)
    return capture.get()


def test_tables_show_every_layer_type_and_role() -> None:
    label = replace(GOLD, entities=(mention("بغداد", "[red]"),))  # no console markup
    text = rendered(tables(score([GOLD], [GOLD]))) + rendered(tables(score([label], [replace(label, entities=())])))
    for expected in (
        "Entities (%)",
        "Triggers (%)",
        "Arguments (%)",
        "macro",
        "Injure",
        "Victim",
        "AC+",
        "100.00",
    ):
        assert expected in text
    assert "[red]" in text
    assert "gold triggers" not in text
    row = next(line for line in text.splitlines() if "[red]" in line)
    assert row.count("–") == 1  # precision has no denominator
    assert len(tables(score([replace(GOLD, events=None)], [GOLD]))) == 1


def test_tables_put_gold_triggers_beside_predicted_ones() -> None:
    end_to_end = score([GOLD], [events(KILLING)])
    text = rendered(tables(end_to_end, gold_triggers=score([GOLD], [GOLD])))
    row = next(line for line in text.splitlines() if "AC classified" in line)
    assert [cell for cell in row.replace("│", " ").split() if cell[0].isdigit()] == [
        *("100.00", "60.00", "75.00", "5"),
        *("100.00", "100.00", "100.00", "25.00"),
    ]
    with pytest.raises(DataError, match="same gold"):
        tables(end_to_end, gold_triggers=score([events(KILLING)], [GOLD]))


# Any documents of one text: the properties of every strict scorer.

spans = st.tuples(st.integers(0, 7), st.integers(1, 3)).map(lambda s: (s[0], s[0] + s[1]))


def mentions(labels: str) -> st.SearchStrategy[Mention]:
    return st.builds(lambda span, label: Mention(span[0], span[1], label), spans, st.sampled_from(labels))


def apart(found: list[Mention]) -> tuple[Mention, ...]:
    """Those that do not overlap an earlier one, as entities must not."""
    kept: list[Mention] = []
    for m in found:
        if all(m.end <= k.start or k.end <= m.start for k in kept):
            kept.append(m)
    return tuple(kept)


any_event = st.builds(Event, mentions("TU"), st.lists(mentions("RS"), max_size=3).map(tuple))
layers = st.tuples(st.lists(mentions("AB"), max_size=4).map(apart), st.lists(any_event, max_size=3).map(tuple))


def document(number: int, layers: tuple[Any, Any]) -> Document:
    return Document(str(number), "ا" * 10, *layers)


corpora = st.lists(st.tuples(layers, layers), max_size=4).map(
    lambda pairs: (
        [document(n, gold) for n, (gold, _) in enumerate(pairs)],
        [document(n, predicted) for n, (_, predicted) in enumerate(pairs)],
    )
)


@given(corpora)
def test_properties(corpus: tuple[list[Document], list[Document]]) -> None:
    gold, predicted = corpus
    scores, swapped = score(gold, predicted), score(predicted, gold)
    for name, units in scores.units.items():
        other = swapped.units[name].micro
        assert (units.micro.precision, units.micro.recall) == (other.recall, other.precision)
        assert units.micro.f1 == other.f1
        p, r = units.micro.precision, units.micro.recall
        assert units.micro.f1 == pytest.approx(2 * p * r / (p + r) if p + r else 0.0)
        for by_label in (units.types, units.roles):
            assert not by_label or sum(by_label.values(), Score()) == units.micro
        shares = [Score(*Scorer().add(g, p)[name]) for g, p in zip(gold, predicted, strict=True)]
        assert sum(shares, Score()) == units.micro  # what resampling documents rests on
    for units in score(gold, gold).units.values():
        assert units.micro.correct == units.micro.predicted == units.micro.gold
        assert units.micro.f1 == (1.0 if units.micro.gold else 0.0)
