"""Token-classification sets of the ``datasets`` library, from the hub or from local files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from khabar.document import DataError, Document
from khabar.formats.tags import Scheme, Sentence, documents, split_tag

__all__ = ["load", "read"]

_BUILDERS = {".parquet": "parquet", ".json": "json", ".jsonl": "json"}
_TIMEOUT = 5.0  # seconds for the hub to answer; the library itself would try for half a minute


def read(
    path: Path | str,
    *,
    split: str = "train",
    configuration: str | None = None,
    tokens: str = "tokens",
    tags: str = "ner_tags",
    scheme: Scheme = "IOB2",
    labels: Mapping[str, str | None] | None = None,
    sentences_per_document: int = 1,
    skip_tokens: Collection[str] = (),
    strip: str = "",
    drop_duplicates: bool = False,
    id_prefix: str | None = None,
    report: Counter[str] | None = None,
) -> Iterator[Document]:
    """Read one split of a set as documents with entities.

    ``path`` is a folder written by ``save_to_disk``, a Parquet or JSON file, a folder of such files, or else
    a name on the hub, with its ``configuration`` where it has several; a single file or table is a split
    ``train``. ``tokens`` and ``tags`` are columns; tags are strings or a ``ClassLabel``. Rows are sentences.
    The other parameters are those of `khabar.formats.tags.documents`. Code in a set is never run.

    Raises `DataError` for a set, split or column that is not there, for a hub that does not answer within
    five seconds (with what to do then), and for a row, by its number from 0, whose tokens or tags are none.
    """
    dataset = load(path, configuration, split)
    place = f"{path} {split}"
    for column in (tokens, tags):
        if column not in dataset.column_names:
            raise DataError(f"{place}: no column {column!r}, expected one of {dataset.column_names}")
    return documents(
        _sentences(dataset.select_columns([tokens, tags]), place, tokens, tags),
        id_prefix=f"{Path(path).stem}-{split}" if id_prefix is None else id_prefix,
        scheme=scheme,
        labels=labels,
        sentences_per_document=sentences_per_document,
        skip_tokens=skip_tokens,
        strip=strip,
        drop_duplicates=drop_duplicates,
        report=report,
    )


def _sentences(rows: Any, place: str, tokens: str, tags: str) -> Iterator[Sentence]:
    """Yield the rows, their tags as strings."""
    feature = rows.features[tags]
    names: Sequence[str] | None = getattr(getattr(feature, "feature", None), "names", None)
    for number, row in enumerate(rows):
        words, values = row[tokens], row[tags]
        try:
            if not _strings(words):
                raise DataError(f"expected a list of strings as {tokens}, got {words!r}")
            if names is not None:
                if any(value < 0 for value in values):  # -1 says that a split is not labelled
                    raise DataError(f"expected {tags} from 0, got {min(values)}")
                values = [names[value] for value in values]
            if not _strings(values):
                raise DataError(f"expected {tags} as strings or a ClassLabel, got {values!r}")
            if len(words) != len(values):
                raise DataError(f"expected as many {tags} as {tokens}, got {len(values)} for {len(words)}")
            for value in values:
                split_tag(value)
        except (DataError, TypeError, IndexError) as error:
            raise DataError(f"{place}: row {number}: {error}") from None
        yield words, values


def _strings(values: Any) -> bool:
    return isinstance(values, Iterable) and all(isinstance(value, str) for value in values)


def load(path: Path | str, configuration: str | None, split: str) -> Any:
    """The split as a ``datasets.Dataset``; raises `DataError` as `read` does."""
    import datasets  # here, because it takes a second and only this format needs it

    local = Path(path)
    try:
        if not local.exists():
            _reach_hub(str(path))
            return datasets.load_dataset(str(path), configuration, split=split)
        if any((local / file).exists() for file in ("dataset_dict.json", "state.json")):
            found = datasets.load_from_disk(str(local))
        elif local.is_dir():
            found = datasets.load_dataset(str(local), configuration)
        elif (builder := _BUILDERS.get(local.suffix)) is not None:
            found = datasets.load_dataset(builder, data_files=str(local))
        else:
            raise DataError(f"{path}: expected a folder or a file of {', '.join(_BUILDERS)}")
    except DataError:
        raise
    except ConnectionError as error:
        raise _unreachable(str(path), error) from None
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"{path}: cannot be read by the datasets library: {error}") from error
    splits = found if isinstance(found, dict) else {"train": found}
    if split not in splits:
        raise DataError(f"{path}: no split {split!r}, expected one of {list(splits)}")
    return splits[split]


def _reach_hub(name: str) -> None:
    """Ask the hub for the set once, because `load_dataset` would ask six times with growing pauses."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if constants.HF_HUB_OFFLINE:
        return  # load_dataset then looks at its cache only
    try:
        HfApi().dataset_info(name, timeout=_TIMEOUT)
    except (HfHubHTTPError, HFValidationError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"{name}: no local file or folder, and no dataset on the hub: {reason}") from None
    except Exception as error:  # the class depends on the HTTP library that the hub's client is built on
        raise _unreachable(name, error) from None


def _unreachable(name: str, error: Exception) -> DataError:
    return DataError(
        f"{name}: no local file or folder, and the hub cannot be reached ({error}). Where there is a "
        "connection, download the set (datasets.load_dataset(…).save_to_disk(FOLDER)) and give the path of "
        "that folder; a set that was downloaded here before is found with HF_HUB_OFFLINE=1"
    )
