"""A model folder -> what labels documents, in PyTorch or ONNX Runtime; what is not chosen is not imported."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast, get_args

from khabar import contract
from khabar.contract import GRAPH, WEIGHTS, ModelError, Precision
from khabar.document import DataError
from khabar.labeller import Labeller

__all__ = ["BACKENDS", "backend_of", "load"]

BACKENDS = {"torch": WEIGHTS, "onnx": GRAPH}  # what each one reads
Backend = Literal["auto", "torch", "onnx"]


def backend_of(folder: Path, backend: Backend | str = "auto") -> str:
    """``torch`` or ``onnx``: the one asked for, or the one whose weights the folder holds.

    Raises `ModelError` where its weights are not there; says how to make them.
    """
    if backend not in ("auto", *BACKENDS):
        raise DataError(f"backend {backend!r}: expected one of {['auto', *BACKENDS]}")
    contract.read(folder)
    found = [name for name, file in BACKENDS.items() if (folder / file).is_file()]
    if not found:
        raise ModelError(f"{folder}: neither {WEIGHTS} nor {GRAPH} is here: the folder is not whole, make it again")
    chosen = found[0] if backend == "auto" else backend
    if chosen not in found:
        advice = {
            "onnx": f"make them: python scripts/export.py checkpoint={folder} output=FOLDER, and name that FOLDER",
            "torch": "name the folder that it was exported from",
        }
        raise ModelError(f"{folder}: no {BACKENDS[chosen]}, the weights of backend={chosen}: {advice[chosen]}")
    return chosen


def load(
    folder: Path | str,
    device: str = "auto",
    backend: Backend | str = "auto",
    precision: Precision | str = "float32",
    threads: int | None = None,
) -> Labeller:
    """Read a model folder.

    Args:
        folder: what training or `khabar.export` wrote.
        device: ``auto``, ``cpu`` or ``cuda``; ONNX Runtime computes on the processor.
        backend: ``torch``, ``onnx``, or ``auto``: the one whose weights the folder holds.
        precision: of PyTorch, as of `khabar.tagger.Tagger.load`; an exported folder has its own.
        threads: of the arithmetic on the processor, in this whole process; one for each core unless given.

    Raises `ModelError` where the folder, or the backend's weights in it, cannot be used; says how to make them.

    """
    folder = Path(folder)
    if precision not in get_args(Precision):
        raise DataError(f"precision {precision!r}: expected one of {list(get_args(Precision))}")
    if backend_of(folder, backend) == "torch":
        import torch

        from khabar.tagger import Tagger

        if threads:
            torch.set_num_threads(threads)
        return Tagger.load(folder, device, cast("Precision", precision))
    if device not in ("auto", "cpu"):
        raise ModelError(f"{folder}: backend=onnx computes on the processor, not on device={device}")
    if precision == "bf16":
        raise ModelError(f"{folder}: an exported folder has its own precision; precision=bf16 is of backend=torch")
    from khabar.onnx import OnnxLabeller

    return OnnxLabeller.load(folder, threads)
