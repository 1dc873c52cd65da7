"""A report made by hand, and two articles with one mistake of every kind, for the tests of pages."""

from __future__ import annotations

from typing import Any

from khabar.document import Document, Event, Mention


def _score(correct: int, predicted: int, gold: int, **more: Any) -> dict[str, Any]:
    ratios = {"precision": correct / predicted, "recall": correct / gold, "f1": 2 * correct / (predicted + gold)}
    return {**ratios, "correct": correct, "predicted": predicted, "gold": gold, **more}


def _unit(*labels: str, **groupings: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {"micro": _score(2, 3, 3, interval=[0.2, 0.95])}
    if labels:
        found |= {"macro_f1": 0.6, "types": {label: _score(1, 2, 1) for label in labels}}
    return found | {name: {label: _score(1, 1, 2) for label in of} for name, of in groupings.items()}


def _reliability(ece: float) -> dict[str, Any]:
    bins = [
        {"low": i / 15, "high": (i + 1) / 15, "count": i, "confidence": i / 15, "accuracy": i / 20} for i in range(15)
    ]
    curve = [
        {"threshold": i / 10, "precision": 0.6 + i / 30, "recall": 0.9 - i / 12, "f1": 0.7 - i / 40} for i in range(10)
    ]
    return {"entities": {"mentions": 105, "gold": 110, "ece": ece, "bins": bins, "curve": curve}}


_OVERLAP = {"correct": 4, "incorrect": 1, "partial": 1, "missed": 2, "spurious": 1}
_CHUNKS = {"micro": _score(2, 3, 3), "types": {"GPE": _score(1, 1, 1)}}

REPORT: dict[str, Any] = {
    "schema": 2,
    "checkpoint": "runs/demo/model",
    "corpus": "أخبار",
    "data": "c0ffee",
    "split": "test",
    "documents": {"entities": 2, "events": 2},
    "scores": {
        "documents": {"entities": 2, "events": 2},
        "entities": _unit("GPE", "ORG"),
        "entities_untyped": _unit(),
        "TI": _unit(),
        "TC": _unit("Meet"),
        "AI": _unit(),
        "AC": _unit("Meet", roles=("Place", "Victim")),
        "AI+": _unit(),
        "AC+": _unit(),
    },
    "scores_gold_triggers": {"AI": _unit(), "AC": _unit("Meet", roles=("Place",)), "AI+": _unit(), "AC+": _unit()},
    "propagation_loss": {"AI": 0.05, "AC": 0.125, "AI+": 0.05, "AC+": 0.06},
    "overlap": {"micro": _OVERLAP, "types": {"GPE": _OVERLAP, "ORG": _OVERLAP}},
    "sequences": {
        **dict.fromkeys(("strict", "repair", "discard", "seqeval"), _CHUNKS),
        "invalid_transitions": {"gold": 0, "predicted": 3},
    },
    "ceaf": {match: {**_CHUNKS, "roles": {"Place": _score(1, 2, 2)}} for match in ("raw", "normalised")},
    "calibration": {"after": _reliability(0.1), "before": _reliability(0.2)},
    "errors": {
        "confusion": {
            "entities": {"GPE": {"GPE": 5, "ORG": 1, "missed": 2}, "ORG": {"ORG": 3}, "spurious": {"GPE": 1}},
            "triggers": {"Meet": {"Meet": 4}},
            "roles": {},
        },
        "boundaries": {"start": {"clitic و": 3}, "end": {"further words in gold": 2}},
        "facets": {"entities": {"length": {"1": _score(3, 4, 5), "6+": _score(1, 4, 5)}}, "triggers": {}},
        "propagation": {"arguments lost with a missed trigger": 4, "wrong role": 1},
        "worst": [
            {
                "id": "حلب",
                "layer": "entities",
                "kind": "boundary",
                "cost": 2,
                "gold": {"start": 20, "end": 23, "label": "GPE", "text": "حلب"},
                "predicted": {"start": 14, "end": 23, "label": "GPE", "text": "مدينة حلب", "score": 0.91},
                "context": "الطائرات مدينة حلب أمس",
                "context_start": 5,
            },
            {
                "id": "حلب",
                "layer": "triggers",
                "kind": "missed",
                "cost": 3,
                "gold": {"start": 0, "end": 4, "label": "Meet", "text": "قصفت"},
                "predicted": None,
                "context": "قصفت الطائرات",
                "context_start": 0,
            },
        ],
    },
}

_ALEPPO = "قصفت الطائرات مدينة حلب أمس"
_CAIRO = "التقى الوزير نظيره في القاهرة"
# The first article has one mistake of each kind, the second none.
EXAMPLES = [
    (
        Document(
            "حلب",
            _ALEPPO,
            (Mention(5, 13, "VEH"), Mention(20, 23, "GPE"), Mention(24, 27, "TIME")),
            (Event(Mention(0, 4, "Attack"), (Mention(5, 13, "Attacker"), Mention(24, 27, "Time"))),),
        ),
        Document(
            "حلب",
            _ALEPPO,
            (Mention(5, 13, "ORG", 0.6), Mention(14, 23, "GPE", 0.91)),
            (Event(Mention(0, 4, "Attack", 0.8), (Mention(5, 13, "Attacker", 0.7), Mention(20, 23, "Place", 0.4))),),
        ),
    ),
    (
        Document(
            "القاهرة",
            _CAIRO,
            (Mention(22, 29, "GPE"),),
            (Event(Mention(0, 5, "Meet"), (Mention(22, 29, "Place"),)),),
        ),
        Document(
            "القاهرة",
            _CAIRO,
            (Mention(22, 29, "GPE", 0.99),),
            (Event(Mention(0, 5, "Meet", 0.97), (Mention(22, 29, "Place", 0.9),)),),
        ),
    ),
]
