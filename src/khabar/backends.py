"""A model folder -> what labels documents; what is not chosen is not imported."""

from __future__ import annotations

from pathlib import Path

from khabar.labeller import Labeller

__all__ = ["load"]


def load(folder: Path | str, device: str = "auto") -> Labeller:
    """Read a model folder; ``device`` is ``auto``, ``cpu`` or ``cuda``.

    Raises `khabar.contract.ModelError` where the folder cannot be used.
    """
    from khabar.tagger import Tagger

    return Tagger.load(Path(folder), device)
