"""Documents -> what an epoch reads, in Arrow files that are mapped into memory rather than held there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from khabar.batches import features
from khabar.document import Document
from khabar.features import Instance, Reader
from khabar.oracle import recovered

__all__ = ["Rows", "learned", "write"]

BATCH = 1024  # rows that are written at a time
LABELS = "labels."  # before the name of a head


def learned(reader: Reader, document: Document, counts: Counter[str]) -> list[Instance]:
    """What is learned from a document; ``counts`` what of its gold the model could never produce.

    Raises `DataError` where it has types that the reader's ontology does not.
    """
    reading = reader.read(reader.ontology.check(document))
    gold, best = _units(document, reader), _units(recovered(reader, reading), reader)
    for layer in gold:
        counts[f"gold {layer}"] += len(gold[layer])
        counts[f"{layer} that no tags can express"] += len(gold[layer] - best[layer])
    counts["words without a readable form"] += reading.unread
    counts["words too long to be read whole"] += reading.shortened
    return reader.instances(reading)


def _units(document: Document, reader: Reader) -> dict[str, set[Any]]:
    events = document.events or ()
    units: dict[str, set[Any]] = {
        "entities": set(document.entities or ()),
        "triggers": {event.trigger for event in events},
        "arguments": {(event.trigger, argument) for event in events for argument in event.arguments},
    }
    return {name: found for name, found in units.items() if name in reader.heads}


def write(path: Path, reader: Reader, documents: Iterable[Document]) -> Counter[str]:
    """Write the features and labels of documents as an Arrow file, in memory that does not grow with it.

    The same documents give the same bytes. Returns how many documents there were, and what `learned` counts.
    """
    kinds = {"input_ids": pa.int32(), "token_type_ids": pa.int8(), "positions": pa.int32()}
    kinds |= {f"{LABELS}{head}": pa.int16() for head in reader.heads}
    schema = pa.schema([("primed", pa.bool_()), *((name, pa.list_(kind)) for name, kind in kinds.items())])
    counts: Counter[str] = Counter()

    def instances() -> Iterator[Instance]:
        for document in documents:
            counts["documents"] += 1
            yield from learned(reader, document, counts)

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as file:
        rows: list[dict[str, Any]] = []
        for instance in instances():
            row = features(reader, instance, labels=True)
            row |= {f"{LABELS}{head}": targets for head, targets in row.pop("labels").items()}
            rows.append({"primed": instance.trigger is not None, **row})
            if len(rows) == BATCH:
                file.write_batch(pa.RecordBatch.from_pylist(rows, schema))
                rows = []
        if rows:
            file.write_batch(pa.RecordBatch.from_pylist(rows, schema))
    return counts


class Rows(Sequence[Mapping[str, Any]]):
    """The features of every input of an epoch, read from Arrow files that `write` wrote when they are asked for.

    Args:
        files: in the order of their rows.
        text_repeats: how often a window of text stands among the rows; an input primed with a trigger stands once.

    What is held in memory are a few bytes for each row: its length, and with ``text_repeats`` its number.

    """

    def __init__(self, files: Sequence[Path], text_repeats: int = 1) -> None:
        self.files, self.text_repeats = tuple(files), text_repeats
        self._batches = [batch for path in self.files for batch in _mapped(path)]
        self._ends = np.cumsum([batch.num_rows for batch in self._batches])
        self.lengths = self._each("input_ids")
        self.words = self._each("positions")  # that a row labels
        self._order: NDArray[np.int64] | None = None
        if text_repeats > 1 and self._batches:
            primed = np.concatenate([batch.column("primed").to_numpy(zero_copy_only=False) for batch in self._batches])
            self._order = np.repeat(np.arange(len(primed)), np.where(primed, 1, text_repeats))
            self.lengths, self.words = self.lengths[self._order], self.words[self._order]

    def __reduce__(self) -> tuple[Any, ...]:
        return Rows, (self.files, self.text_repeats)  # a process that loads data maps the files itself

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: Any) -> Any:
        """The features of a row as arrays that share the file's memory, as `khabar.batches.arrays` reads them."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        row = int(index) % len(self)
        if self._order is not None:
            row = int(self._order[row])
        number = int(np.searchsorted(self._ends, row, side="right"))
        batch = self._batches[number]
        place = row - (int(self._ends[number]) - batch.num_rows)
        found: dict[str, Any] = {"labels": {}}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name == "primed":
                continue
            offsets = column.offsets
            values = column.values[offsets[place].as_py() : offsets[place + 1].as_py()].to_numpy()
            if name.startswith(LABELS):
                found["labels"][name.removeprefix(LABELS)] = values
            else:
                found[name] = values
        return found

    def _each(self, name: str) -> NDArray[np.int32]:
        """How long the lists of a column are, without reading them."""
        offsets = (batch.column(name).offsets.to_numpy() for batch in self._batches)
        return np.concatenate([np.zeros(0, np.int32), *map(np.diff, offsets)]).astype(np.int32)


def _mapped(path: Path) -> list[Any]:
    """The record batches of a file; they keep it mapped, and no file descriptor open."""
    with pa.memory_map(str(path)) as source:
        file = pa.ipc.open_file(source)
        return [file.get_batch(number) for number in range(file.num_record_batches)]
