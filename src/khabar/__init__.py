"""khabar: entities, events and their arguments in Arabic news.

``khabar.load().label("…")`` gives the labelled `Document` of a text; a notebook shows it as a page.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from khabar.document import DataError, Document, Event, Mention

if TYPE_CHECKING:
    from khabar.labeller import Labeller

__version__ = "0.1.0"
__all__ = ["DataError", "Document", "Event", "Mention", "load"]


def load(path: Path | str | None = None, **options: Any) -> Labeller:
    """What labels texts and documents: a model folder, by default the one that ships with the package.

    ``options`` are those of `khabar.backends.load`. PyTorch and its like are imported here, not by ``import khabar``.
    Raises `khabar.contract.ModelError` where the folder cannot be used.
    """
    from khabar import backends, contract

    return backends.load(contract.COMPACT if path is None else path, **options)
