"""What perfect heads would predict: the ceiling that windows, words and tags leave."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from khabar.document import Document, Event
from khabar.features import ARGUMENTS, ENTITIES, TRIGGERS, Floats, Instance, Reader, Reading

__all__ = ["recovered"]


def recovered(reader: Reader, reading: Reading) -> Document:
    """The document that perfect heads would predict: gold, through windows and tags, and back.

    What differs from gold is what the model could never produce, whatever it learns.
    """

    def perfect(instances: Sequence[Instance]) -> list[dict[str, Floats]]:
        sizes, result = reader.sizes(), []
        for instance in instances:
            targets = reader.targets(instance)
            result.append(
                {head: np.eye(sizes[head], dtype=np.float32)[np.maximum(targets[head], 0)] * 50.0 for head in targets}
            )
        return result

    text = reader.text_pass(reading)
    document, logits = reading.document, perfect(text)
    entities, events = document.entities, document.events
    if entities is not None and ENTITIES in reader.heads:
        entities = tuple(m for found in reader.mentions(ENTITIES, text, logits) for m in found)
    if events is not None and TRIGGERS in reader.heads:
        triggers = [m for found in reader.mentions(TRIGGERS, text, logits) for m in found]
        primed: list[Instance] = []
        if ARGUMENTS in reader.heads:
            passes = (reader.argument_pass(reading, trigger) for trigger in triggers)
            primed = [instance for instance in passes if instance is not None]
        found = reader.mentions(ARGUMENTS, primed, perfect(primed)) if primed else [[] for _ in triggers]
        events = tuple(Event(t, tuple(arguments)) for t, arguments in zip(triggers, found, strict=True))
    return Document(document.id, document.text, entities, events, document.meta)
