"""A model folder to a repository of the model hub, once it is checked: whole, described, and nothing else in it."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from khabar import contract
from khabar.backends import backend_of
from khabar.cards import CARD, UNKNOWN, front_matter
from khabar.contract import CONFIG, CONTRACT, WEIGHTS, ModelError
from khabar.document import DataError

__all__ = ["File", "contents", "push"]

log = logging.getLogger(__name__)
EXPORT = "export.json"
SENT = (".json", ".safetensors", ".onnx", ".md", ".txt", ".model")  # nothing that runs code when it is loaded
_SIGNATURE = re.compile(r"\?[^\s'\"]*")  # of an address
NEEDED = ("language", "license", "tags")  # of the block at the head of a card


class File(NamedTuple):
    """A file of the folder: its name, bytes and hash."""

    name: str
    size: int
    sha256: str


def push(
    checkpoint: Path | str,
    repository: str,
    private: bool = True,
    revision: str = "main",
    message: str | None = None,
    dry_run: bool = False,
) -> list[File]:
    """Check a folder, then make the repository where there is none and send the folder.

    The token is the one of the environment (``HF_TOKEN``) or of ``hf auth login``; it is neither taken as an argument
    nor logged. The hub is that of ``HF_ENDPOINT``.

    Args:
        checkpoint: what training, averaging or an export wrote.
        repository: ``NAME`` or ``OWNER/NAME``.
        private: of a repository that is made, and what one that is there must be.
        revision: the branch, which is made where there is none.
        message: of the commit.
        dry_run: say what would be sent, and ask nobody.

    Returns what was, or would be, sent. Raises `DataError` where the folder is not fit to be sent, where there is no
    token, where a repository that should be private is public, and where the hub refuses.

    """
    folder = Path(checkpoint)
    files = contents(folder)
    Console().print(_table(folder, repository, files))
    if front_matter(folder / CARD)["license"] == UNKNOWN:
        log.warning("%s: the licence is unknown: find out what the encoder and the data allow", folder / CARD)
    if dry_run:
        log.info("dry run: nothing was sent")
        return files
    from huggingface_hub import HfApi, get_token

    if not get_token():
        raise DataError("no token of the model hub: set HF_TOKEN, or log in with: hf auth login")
    api = HfApi()
    for name in ("httpx", "httpx2"):  # they log every address, also those that are signed to be written to
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        name = api.create_repo(repository, private=private, exist_ok=True).repo_id
        if private and not api.repo_info(name).private:
            raise DataError(f"{name} is there already and public; private=false says that this is meant")
        if revision != "main":
            api.create_branch(name, branch=revision, exist_ok=True)
        done = api.upload_folder(
            repo_id=name,
            folder_path=folder,
            revision=revision,
            commit_message=message or f"khabar: {_title(folder)}",
            allow_patterns=[file.name for file in files],
        )
    except DataError:
        raise
    except Exception as error:  # what the hub and the way there answer with is of any class
        said = str(error.__cause__ or error).strip().partition("\n")[0]
        raise DataError(f"{api.endpoint}: {repository}: {_SIGNATURE.sub('', said)}") from None
    log.info("sent to %s", done.commit_url)
    return files


def contents(folder: Path) -> list[File]:
    """The files of a model folder, or of an export. Raises `DataError` with the reason where it cannot be passed on."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    paths = sorted(folder.iterdir())
    for path in paths:
        if path.is_symlink() or not path.is_file() or path.suffix not in SENT or path.name.startswith("."):
            raise DataError(f"{path}: does not belong into a model folder (files {', '.join(SENT)}): take it out")
    if (folder / CONTRACT).is_file():
        _check_model(folder)
    else:
        _check_plain(folder)
    block = front_matter(folder / CARD)
    if missing := [key for key in NEEDED if not block.get(key)]:
        raise DataError(f"{folder / CARD}: a card whose head says {missing} is missing: make the folder again")
    return [File(path.name, path.stat().st_size, _sha256(path)) for path in paths]


def _check_model(folder: Path) -> None:
    """Contract and weights fit each other; in an exported folder the graph is there."""
    record = contract.read(folder)
    config = folder / CONFIG
    if not config.is_file() or not (folder / "tokenizer.json").is_file():
        raise ModelError(f"{folder}: the folder is not whole: {CONFIG} or tokenizer.json is missing")
    if backend_of(folder) == "torch":
        shapes = _shapes(folder)
        outputs = {name: shapes.get(f"heads.{name}.weight", [0])[0] for name in record["heads"]}
        if outputs != record["heads"]:
            raise ModelError(f"{folder}: {WEIGHTS} has heads {outputs}, the contract {record['heads']}")
    for name in record["meta"].get("data") or {}:
        if Path(name).is_absolute():
            log.warning("%s: names a folder of this machine: %s", folder / CONTRACT, name)


def _check_plain(folder: Path) -> None:
    """One head for transformers, as an export writes it: names of tags and weights fit each other."""
    try:
        made = json.loads((folder / EXPORT).read_text(encoding="utf-8"))["format"]
        tags = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["id2label"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}: neither a model folder ({CONTRACT}) nor an export of one: {error}") from None
    outputs = _shapes(folder).get("classifier.weight", [0])[0]
    if made != "transformers" or outputs != len(tags):
        raise ModelError(f"{folder}: {WEIGHTS} has {outputs} outputs, {CONFIG} names {len(tags)} tags")


def _shapes(folder: Path) -> dict[str, list[int]]:
    """Shapes of the weights. Raises `ModelError` where the file is missing, cut short or not safetensors."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, framework="numpy") as weights:
            return {name: list(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{folder / WEIGHTS}: cannot be read: {error}") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _title(folder: Path) -> str:
    lines = (folder / CARD).read_text(encoding="utf-8").splitlines()
    return next((line.removeprefix("# ") for line in lines if line.startswith("# ")), folder.name)


def _table(folder: Path, repository: str, files: list[File]) -> Any:
    table = Table(title=f"{folder} to {repository}", title_justify="left")
    table.add_column("file")
    table.add_column("bytes", justify="right")
    table.add_column("sha256")
    for file in files:
        table.add_row(file.name, f"{file.size:,}", file.sha256[:16])
    table.add_row("", f"{sum(file.size for file in files):,}", "")
    return table
