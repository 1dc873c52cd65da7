"""«توقّع النموذج هجوما في بغداد باحتمال ثمانين في المئة»: how often is a mention of that score right?"""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khabar.document import DataError, Document, Event, Mention
from khabar.metrics import score
from khabar.scoring.reliability import Reliability

TEXT = "ا" * 40


def entities(*found: tuple[int, str, float | None]) -> Document:
    """One code point each: place, type, score."""
    return Document("خبر", TEXT, entities=tuple(Mention(n, n + 1, label, score) for n, label, score in found))


def collected(gold: Document, predicted: Document) -> Reliability:
    reliability = Reliability()
    reliability.add(gold, predicted)
    return reliability


def test_confidence_and_accuracy_of_bins() -> None:
    gold = entities((0, "GPE", None), (1, "GPE", None), (2, "PER", None))
    predicted = entities((0, "GPE", 0.99), (1, "GPE", 0.97), (2, "ORG", 0.98), (7, "PER", 0.5))
    found = collected(gold, predicted).to_json()["entities"]
    assert (found["mentions"], found["gold"], found["unscored"]) == (4, 3, 0)
    low, high = found["bins"]
    assert low == {"low": 7 / 15, "high": 8 / 15, "count": 1, "confidence": 0.5, "accuracy": 0.0}
    assert (high["low"], high["high"], high["count"]) == (14 / 15, 1.0, 3)
    assert (high["confidence"], high["accuracy"]) == pytest.approx((0.98, 2 / 3))
    assert found["ece"] == pytest.approx(3 / 4 * (0.98 - 2 / 3) + 1 / 4 * 0.5)


@pytest.mark.parametrize(("value", "low"), [(0.0, 0), (0.0666, 0), (0.2, 2), (0.2001, 3), (0.9999, 14), (1.0, 14)])
def test_bins_are_closed_above(value: float, low: int) -> None:
    (only,) = collected(entities(), entities((0, "GPE", value))).to_json()["entities"]["bins"]
    assert only["low"] == low / 15


def test_triggers_and_arguments_are_the_units_of_TC_and_AC() -> None:
    attack = Event(Mention(0, 1, "Attack", 0.9), (Mention(5, 6, "Place", 0.3),))
    other = Event(Mention(2, 3, "Attack", 0.8), (Mention(5, 6, "Place", 0.7), Mention(5, 6, "Time", 0.2)))
    gold = Document("خبر", TEXT, events=(attack,))
    found = collected(gold, Document("خبر", TEXT, events=(attack, other))).to_json()
    assert list(found) == ["triggers", "arguments"]
    assert (found["triggers"]["mentions"], found["triggers"]["gold"]) == (2, 1)
    arguments = found["arguments"]
    assert (arguments["mentions"], arguments["gold"]) == (2, 1)  # the place of two attacks is one unit
    assert [(b["confidence"], b["accuracy"]) for b in arguments["bins"]] == [(0.2, 0.0), (0.7, 1.0)]


def test_what_has_no_score_takes_no_part_and_is_counted() -> None:
    some = collected(entities(), entities((0, "GPE", 0.5), (1, "GPE", None))).to_json()
    assert (some["entities"]["mentions"], some["entities"]["unscored"]) == (1, 1)
    assert collected(entities((0, "GPE", None)), entities((0, "GPE", None))).to_json() == {}
    assert collected(Document("خبر", TEXT), entities((0, "GPE", 0.5))).to_json() == {}
    assert Reliability().to_json() == {}


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_score_that_is_no_probability_is_named(value: float) -> None:
    with pytest.raises(DataError, match="document 'خبر': expected a score of 0 to 1"):
        collected(entities(), entities((0, "GPE", value)))


mentions = st.dictionaries(st.integers(0, 39), st.tuples(st.sampled_from("AB"), st.integers(0, 10_000)), max_size=40)


@given(st.lists(st.tuples(mentions, mentions), min_size=1, max_size=4))
def test_agrees_with_a_mention_by_mention_count(corpus: list[tuple[dict[int, tuple[str, int]], ...]]) -> None:
    """Each point of the curve is the strict score of what is left above the threshold."""
    reliability = Reliability()
    golds, predictions, judged = [], [], []
    for number, (gold, predicted) in enumerate(corpus):
        golds.append(
            Document(str(number), TEXT, entities=entities(*((n, t, None) for n, (t, _) in gold.items())).entities)
        )
        scored = entities(*((n, t, s / 10_000) for n, (t, s) in predicted.items()))
        predictions.append(Document(str(number), TEXT, entities=scored.entities))
        judged += [(Fraction(s, 10_000), n in gold and gold[n][0] == t) for n, (t, s) in predicted.items()]
        reliability.add(golds[-1], predictions[-1])
    record = reliability.to_json()
    if not judged:
        assert record == {}
        return
    found = record["entities"]
    error = Fraction(0)
    for place in range(15):
        inside = [(s, ok) for s, ok in judged if Fraction(place, 15) < s <= Fraction(place + 1, 15) or s == place == 0]
        if inside:
            error += abs(sum((s - ok for s, ok in inside), Fraction(0))) / len(judged)
    assert found["ece"] == pytest.approx(float(error))
    assert sum(b["count"] for b in found["bins"]) == found["mentions"] == len(judged)
    curve = found["curve"]
    assert 1 <= len(curve) <= 101
    thresholds = [point["threshold"] for point in curve]
    assert thresholds == sorted(set(thresholds))
    assert max(s for s, _ in judged) == Fraction(thresholds[-1]).limit_denominator(10_000)
    for point in curve[:: max(1, len(curve) // 7)]:
        left = [
            Document(d.id, d.text, entities=tuple(m for m in d.entities or () if (m.score or 0) >= point["threshold"]))
            for d in predictions
        ]
        micro = score(golds, left).units["entities"].micro
        assert micro.predicted > 0
        assert (point["precision"], point["recall"], point["f1"]) == (micro.precision, micro.recall, micro.f1)
    assert json.loads(json.dumps(record)) == record
