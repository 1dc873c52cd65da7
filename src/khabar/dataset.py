"""Documents -> what an epoch reads, and what of their gold the model could never produce."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from khabar import processes
from khabar.document import DataError, Document
from khabar.features import Instance, Reader
from khabar.oracle import recovered

__all__ = ["read_instances"]

log = logging.getLogger(__name__)


def read_instances(reader: Reader, documents: Sequence[Document]) -> list[Instance]:
    """Read the documents and say what of their gold the model could never produce."""
    found: list[Instance] = []
    counts: Counter[str] = Counter()
    for document in tqdm(documents, desc="reading", unit="document", disable=processes.rank() > 0):
        reading = reader.read(reader.ontology.check(document))
        found.extend(reader.instances(reading))
        gold, best = _units(document, reader), _units(recovered(reader, reading), reader)
        for layer in gold:
            counts[f"gold {layer}"] += len(gold[layer])
            counts[f"{layer} that no tags can express"] += len(gold[layer] - best[layer])
        counts["words without a readable form"] += reading.unread
        counts["words too long to be read whole"] += reading.shortened
    for message, number in counts.items():
        if number:
            log.log(logging.INFO if message.startswith("gold") else logging.WARNING, "%s: %d", message, number)
    if not found:
        raise DataError("the training split holds no words")
    return found


def _units(document: Document, reader: Reader) -> dict[str, set[Any]]:
    events = document.events or ()
    units: dict[str, set[Any]] = {
        "entities": set(document.entities or ()),
        "triggers": {event.trigger for event in events},
        "arguments": {(event.trigger, argument) for event in events for argument in event.arguments},
    }
    return {name: found for name, found in units.items() if name in reader.heads}
