"""«قصفت الطائرات مدينة حلب أمس»: what a reader is shown of a prediction beside its gold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khabar.document import Document, Event, Mention
from khabar.examples import KINDS, Example, example, runs
from khabar.metrics import score
from khabar.scoring.alignment import align

TEXT = "قصفت الطائرات مدينة حلب أمس"
BOMBED, PLANES, CITY, ALEPPO, YESTERDAY = (0, 4), (5, 13), (14, 23), (20, 23), (24, 27)


def document(*entities: Mention, events: tuple[Event, ...] | None = None) -> Document:
    return Document("خبر", TEXT, entities, events)


def kinds(found: Example, layer: str) -> list[tuple[str | None, str | None, str]]:
    """(gold surface, predicted surface, kind) of a layer, in text order."""
    sides = [{m.pair: m for run in side if (m := run.entity)} for side in (found.gold, found.predicted)]
    if layer == "triggers":
        sides = [{m.pair: m for pair in found.events if (e := pair[side]) and (m := e.trigger)} for side in range(2)]
    if layer == "arguments":
        sides = [{m.pair: m for pair in found.events if (e := pair[side]) for m in e.arguments} for side in range(2)]
    gold, predicted = sides
    rows = []
    for pair in gold | predicted:
        left, right = gold.get(pair), predicted.get(pair)
        [kind] = {mark.kind for mark in (left, right) if mark}
        rows.append((left.surface if left else None, right.surface if right else None, kind))
    return rows


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        (Mention(*ALEPPO, "GPE"), Mention(*ALEPPO, "GPE"), [("حلب", "حلب", "correct")]),
        (Mention(*ALEPPO, "GPE"), Mention(*ALEPPO, "ORG"), [("حلب", "حلب", "type")]),
        (Mention(*ALEPPO, "GPE"), Mention(*CITY, "GPE"), [("حلب", "مدينة حلب", "boundary")]),
        (Mention(*ALEPPO, "GPE"), Mention(*CITY, "LOC"), [("حلب", "مدينة حلب", "type")]),
        (Mention(*ALEPPO, "GPE"), None, [("حلب", None, "missed")]),
        (None, Mention(*BOMBED, "ORG"), [(None, "قصفت", "spurious")]),  # at offset 0
        (Mention(*ALEPPO, "GPE"), Mention(*PLANES, "VEH"), [("حلب", None, "missed"), (None, "الطائرات", "spurious")]),
    ],
)
def test_an_entity_is_of_one_kind(
    gold: Mention | None, predicted: Mention | None, expected: list[tuple[str | None, str | None, str]]
) -> None:
    found = example(document(*[gold] if gold else []), document(*[predicted] if predicted else []))
    assert sorted(kinds(found, "entities"), key=str) == sorted(expected, key=str)
    assert sum(found.counts.values()) == len(expected)


def test_the_same_span_goes_before_a_larger_overlap() -> None:
    whole, part = Mention(*CITY, "GPE"), Mention(*ALEPPO, "GPE")
    assert align([whole, part], [Mention(*ALEPPO, "ORG")]) == [(whole, None), (part, Mention(*ALEPPO, "ORG"))]
    assert align([whole, part], [Mention(19, 23, "GPE")]) == [(whole, Mention(19, 23, "GPE")), (part, None)]


def test_one_span_in_two_roles_is_two_arguments() -> None:
    trigger = Mention(*BOMBED, "Attack")
    gold = Event(trigger, (Mention(*PLANES, "Attacker"), Mention(*PLANES, "Instrument")))
    predicted = Event(trigger, (Mention(*PLANES, "Instrument", 0.7),))
    found = example(document(events=(gold,)), document(events=(predicted,)))
    assert kinds(found, "arguments") == [("الطائرات", None, "missed"), ("الطائرات", "الطائرات", "correct")]


def test_an_argument_is_compared_within_its_pair_of_events() -> None:
    arguments = (Mention(*PLANES, "Attacker"), Mention(*ALEPPO, "Place"))
    gold = Event(Mention(*BOMBED, "Attack"), arguments)
    wrong_role = Event(Mention(*BOMBED, "Attack"), (Mention(*PLANES, "Instrument"), Mention(*CITY, "Place")))
    found = example(document(events=(gold,)), document(events=(wrong_role,)))
    assert kinds(found, "arguments") == [("الطائرات", "الطائرات", "type"), ("حلب", "مدينة حلب", "boundary")]
    [(left, _)] = found.events
    assert left is not None
    assert [mark.verdict for mark in left.arguments] == ["wrong role", "wrong boundary"]

    wrong_type = Event(Mention(*BOMBED, "Die"), arguments)
    found = example(document(events=(gold,)), document(events=(wrong_type,)))
    assert [kind for *_, kind in kinds(found, "triggers") + kinds(found, "arguments")] == ["type"] * 3
    [(left, _)] = found.events
    assert left is not None
    assert {mark.verdict for mark in left.arguments} == {"event of a wrong type"}

    found = example(document(events=(gold,)), document(events=()))
    assert found.events[0][1] is None
    assert [kind for *_, kind in kinds(found, "arguments")] == ["missed", "missed"]


def test_events_of_one_trigger_are_one() -> None:
    trigger = Mention(*BOMBED, "Attack")
    twice = (Event(trigger, (Mention(*PLANES, "Attacker"),)), Event(trigger, (Mention(*ALEPPO, "Place"),)))
    found = example(document(events=twice), document(events=()))
    assert len(found.events) == 1
    assert found.counts == {"missed": 3}


def test_a_layer_that_gold_does_not_have_is_not_shown() -> None:
    predicted = document(Mention(*ALEPPO, "GPE"), events=(Event(Mention(*BOMBED, "Attack")),))
    found = example(Document("خبر", TEXT, None, None), predicted)
    assert found.counts == {}
    assert found.events == ()
    assert [run.entity for run in found.predicted] == [None]


def test_a_prediction_without_the_layer_misses_it() -> None:
    found = example(document(Mention(*ALEPPO, "GPE"), events=()), Document("خبر", TEXT, None, None))
    assert found.counts == {"missed": 1}


def mentions(text: str, labels: str) -> st.SearchStrategy[list[Mention]]:
    spans = st.lists(st.integers(0, len(text)), max_size=12, unique=True).map(sorted)
    return spans.flatmap(
        lambda cuts: st.tuples(
            *(
                st.builds(Mention, st.just(start), st.just(end), st.sampled_from(labels))
                for start, end in zip(cuts, cuts[1:], strict=False)
            )
        )
    ).map(list)


@given(text=st.text(min_size=1).filter(lambda text: text.isprintable()), data=st.data())
def test_any_text_is_cut_without_loss_and_every_mention_is_told_once(text: str, data: st.DataObject) -> None:
    gold, predicted = (
        Document("1", text, tuple(data.draw(mentions(text, "AB"))), tuple(map(Event, data.draw(mentions(text, "XY")))))
        for _ in range(2)
    )
    found = example(gold, predicted)
    for side, of in ((found.gold, gold), (found.predicted, predicted)):
        assert "".join(piece.text for run in side for piece in run.pieces) == text
        shown = [run.entity.mention for run in side if run.entity]
        assert shown == list(of.entities or ())
        ended = [mark.mention for run in side for piece in run.pieces for mark in piece.ended]
        assert sorted(ended) == [event.trigger for event in of.events or ()]
    units = score([gold], [predicted]).units
    counts = dict.fromkeys(KINDS, 0) | dict(found.counts)
    held = counts["correct"] + counts["type"] + counts["boundary"]
    assert counts["correct"] == units["entities"].micro.correct + units["TC"].micro.correct
    assert held + counts["missed"] == units["entities"].micro.gold + units["TC"].micro.gold
    assert held + counts["spurious"] == units["entities"].micro.predicted + units["TC"].micro.predicted


def test_a_text_without_mentions_is_one_piece() -> None:
    [run] = runs(TEXT, [], [])
    assert [piece.text for piece in run.pieces] == [TEXT]
    assert runs("", [], []) == ()
