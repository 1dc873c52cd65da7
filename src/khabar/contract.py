"""The contract of a model folder: what its weights are for, and how the folder is replaced as a whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from khabar.document import DataError
from khabar.features import Reader
from khabar.formats import lines
from khabar.ontology import Ontology

__all__ = [
    "COMPACT",
    "CONFIG",
    "CONTRACT",
    "FORMAT",
    "GRAPH",
    "WEIGHTS",
    "ModelError",
    "Precision",
    "fingerprint",
    "read",
    "readable_length",
    "reader",
    "replaced",
    "write",
]

COMPACT = Path(__file__).parent / "compact"  # the folder that ships with the package
CONTRACT, CONFIG, WEIGHTS = "khabar.json", "config.json", "model.safetensors"  # of a model folder that khabar saved
GRAPH = "model.onnx"  # in place of the weights, in a folder that khabar exported
Precision = Literal["auto", "float32", "bf16"]
FORMAT = 1  # a folder of another format is refused


class ModelError(DataError):
    """An encoder or model folder that cannot be used, and what to do about it."""


def read(folder: Path) -> dict[str, Any]:
    """Read the contract; raises `ModelError` where there is none, or one that this version cannot honour."""
    path = folder / CONTRACT
    if not path.is_file():
        raise ModelError(f"{folder}: no {CONTRACT}: this is not a folder that khabar saved")
    try:
        contract: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path}: not JSON: {error}") from None
    found = contract.get("format") if isinstance(contract, dict) else None
    if found != FORMAT:
        raise ModelError(f"{path}: format {found}, this version of khabar reads format {FORMAT}")
    needed = {"heads", "ontology", "reader", "vocabulary", "dropout", "temperatures", "meta"}
    if missing := needed - contract.keys():
        raise ModelError(f"{path}: lacks {sorted(missing)}")
    return contract


def reader(folder: Path, record: Mapping[str, Any], tokenizer_of: Callable[[Path], Any]) -> Reader:
    """How the model of a folder reads documents; ``tokenizer_of`` reads the tokenizer of a folder.

    Raises `ModelError` where its parts do not fit each other.
    """
    try:
        ontology = Ontology.from_json(**record["ontology"])
        tokenizer = tokenizer_of(folder)
        found = Reader(tokenizer, ontology, tuple(record["heads"]), **record["reader"])
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        limit = readable_length(SimpleNamespace(**config))
    except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        raise ModelError(f"{folder}: the contract cannot be honoured: {error}") from error
    if found.sizes() != record["heads"]:
        raise ModelError(f"{folder}: heads {record['heads']}, but its ontology needs {found.sizes()}")
    if len(tokenizer) != record["vocabulary"]:
        raise ModelError(
            f"{folder}: the tokenizer has {len(tokenizer)} pieces, the model was made with {record['vocabulary']}"
        )
    if (longest := max(found.length, found.argument_length)) > limit:
        raise ModelError(f"{folder}: windows of {longest}, but the encoder reads {limit} subwords")
    return found


def readable_length(config: Any) -> int:
    """Subwords an encoder can read: RoBERTa counts positions from behind the padding id."""
    limit = int(getattr(config, "max_position_embeddings", 512))
    return limit - 2 if config.model_type in ("roberta", "xlm-roberta", "camembert") else limit


def fingerprint(folder: Path, weights: str = WEIGHTS) -> str:
    """SHA-256 over contract, config, tokenizer and weights, which decide the labels.

    Raises `ModelError` where one of them cannot be read.
    """
    digest = hashlib.sha256()
    for name in (CONTRACT, CONFIG, "tokenizer.json", "tokenizer_config.json", weights):
        try:
            with (folder / name).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise ModelError(f"{folder / name}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()


def write(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the contract into a folder that is being made (`replaced`)."""
    text = json.dumps({"format": FORMAT, **record}, ensure_ascii=False, indent=2)
    (folder / CONTRACT).write_text(text + "\n", encoding="utf-8")


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of ``folder`` when everything is in it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        yield staging
        staging.chmod(0o755)
        for path in (*staging.rglob("*"), staging):
            lines.sync(path)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(staging, folder)
        lines.sync(folder.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
