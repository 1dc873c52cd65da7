"""What perfect heads would predict: the ceiling that windows, words and tags leave."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from khabar.bio import Span
from khabar.document import Document, Event, Mention
from khabar.features import ARGUMENTS, ENTITIES, TRIGGERS, Instance, Reader, Reading

__all__ = ["recovered"]


def recovered(reader: Reader, reading: Reading) -> Document:
    """The document that perfect heads would predict: gold, through windows and tags, and back.

    What differs from gold is what the model could never produce, whatever it learns.
    """
    text = reader.text_pass(reading)
    targets = [reader.targets(instance) for instance in text]
    document = reading.document
    entities, events = document.entities, document.events
    if entities is not None and ENTITIES in reader.heads:
        found = map(_perfect, [reader] * len(text), [ENTITIES] * len(text), text, targets)
        entities = tuple(mention for mentions in found for mention in mentions)
    if events is not None and TRIGGERS in reader.heads:
        triggers = [m for i, numbers in zip(text, targets, strict=True) for m in _perfect(reader, TRIGGERS, i, numbers)]
        arguments: list[list[Mention]] = [[] for _ in triggers]
        if ARGUMENTS in reader.heads:
            passes = (reader.argument_pass(reading, trigger) for trigger in triggers)
            primed = [instance for instance in passes if instance is not None]
            arguments = [_perfect(reader, ARGUMENTS, instance, reader.targets(instance)) for instance in primed]
        events = tuple(Event(t, tuple(found)) for t, found in zip(triggers, arguments, strict=True))
    return Document(document.id, document.text, entities, events, document.meta)


def _perfect(reader: Reader, head: str, instance: Instance, targets: dict[str, list[int]]) -> list[Mention]:
    """The mentions that a head finds which is sure of every right tag."""
    sizes = reader.sizes()
    logits = {name: np.eye(sizes[name], dtype=np.float32)[np.maximum(targets[name], 0)] * 50.0 for name in targets}
    spans = _spans(targets[head])
    if spans is None or instance.trigger is not None:  # these are decided by what is decoded
        return reader.mentions(head, [instance], [logits])[0]
    return [reader.mention(head, instance, span, logits) for span in spans]


def _spans(numbers: Sequence[int]) -> list[Span] | None:
    """The mentions of tags; ``None`` where one begins with an I tag, as where a window cuts a mention."""
    found: list[Span] = []
    before = 0
    for place, number in enumerate(numbers):
        if number > 0 and number % 2 == 0:
            if before not in (number, number - 1):
                return None
            found[-1] = Span(found[-1].first, place, found[-1].label, 1.0)
        elif number > 0:
            found.append(Span(place, place, (number - 1) // 2, 1.0))
        before = number
    return found
