"""CEAF-REE: role fillers of a whole document, whatever trigger they belong to (Du, Rush and Cardie, EACL 2021).

Where a corpus says who attacked whom in a document and not which word says so, arguments cannot be scored by trigger
or span. Scored are entities: for each event type and role of a document, gold entities are assigned to predicted
ones, one to one, so that the sum of phi is greatest (CEAF: Luo, HLT/EMNLP 2005); phi(gold, predicted) is 1 where every
mention of the predicted entity is one of the gold entity's, else 0. Mentions are surfaces: which of its occurrences
was marked makes no difference.

Without coreference in the data an entity is the mentions of one surface, so that an assignment is an intersection of
sets of surfaces. `Ceaf` takes what says which mentions are one entity where a corpus has it: then an entity that is
found under two of its names is found once, and the other prediction is spurious.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

from khabar.arabic import fold
from khabar.document import Document, Mention
from khabar.metrics import Score

__all__ = ["Ceaf", "assigned"]

Entity = Callable[[Document, Mention], Hashable]
_MATCHES: Mapping[str, Callable[[str], str]] = {"raw": str, "normalised": fold}


class Ceaf:
    """CEAF-REE of documents that come one pair at a time; what it holds grows with event types and roles only.

    ``entity``, if given, is called for every argument of either side and says by what it returns which mentions of a
    document are one entity. A document whose gold has no layer of events is skipped; a prediction without one is an
    empty one.
    """

    def __init__(self, entity: Entity | None = None) -> None:
        self._entity = entity
        # By way of matching; then by event type and role: entities assigned, predicted, in gold.
        self._counts: dict[str, Counter[tuple[str, str, int]]] = {match: Counter() for match in _MATCHES}

    def add(self, gold: Document, predicted: Document) -> None:
        """Score the role fillers of one document."""
        if gold.events is None:
            return
        for match, form in _MATCHES.items():
            in_gold, in_predicted = (self._entities(document, form) for document in (gold, predicted))
            for role in in_gold.keys() | in_predicted.keys():
                left, right = in_gold.get(role, ()), in_predicted.get(role, ())
                for column, count in enumerate((assigned(left, right), len(right), len(left))):
                    self._counts[match][*role, column] += count

    def _entities(self, document: Document, form: Callable[[str], str]) -> dict[tuple[str, str], list[set[str]]]:
        """The entities of each event type and role, each the set of its surfaces."""
        found: dict[tuple[str, str], dict[Hashable, set[str]]] = {}
        for event in document.events or ():
            for mention in event.arguments:
                surface = form(document.surface(mention))
                key = surface if self._entity is None else self._entity(document, mention)
                found.setdefault((event.type, mention.label), {}).setdefault(key, set()).add(surface)
        return {role: list(entities.values()) for role, entities in found.items()}

    def to_json(self) -> dict[str, Any]:
        """Scores of entities, their surfaces compared as written (``raw``) and folded (``normalised``, `arabic.fold`).

        Each: ``micro``, ``types`` (event types) and ``roles``, as `Score.to_json` has them.
        """
        return {match: _grouped(counts) for match, counts in self._counts.items()}


def _grouped(counts: Mapping[tuple[str, str, int], int]) -> dict[str, Any]:
    micro, types, roles = Score(), dict[str, Score](), dict[str, Score]()
    for event_type, role in sorted({(event_type, role) for event_type, role, _ in counts}):
        found = Score(*(counts[event_type, role, column] for column in range(3)))
        micro += found
        types[event_type] = types.get(event_type, Score()) + found
        roles[role] = roles.get(role, Score()) + found
    return {
        "micro": micro.to_json(),
        "types": {label: types[label].to_json() for label in sorted(types)},
        "roles": {label: roles[label].to_json() for label in sorted(roles)},
    }


def assigned(gold: Sequence[AbstractSet[str]], predicted: Sequence[AbstractSet[str]]) -> int:
    """How many predicted entities at most can be assigned one to one to gold ones that have all of their mentions."""
    from scipy.optimize import linear_sum_assignment

    if not gold or not predicted:
        return 0
    phi = np.array([[mentions <= entity for mentions in predicted] for entity in gold])
    return int(phi[linear_sum_assignment(phi, maximize=True)].sum())
