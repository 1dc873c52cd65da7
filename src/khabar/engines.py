"""Where articles are labelled: in this process, or on a cluster. Both give the same labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from khabar.backends import BACKENDS, backend_of, load
from khabar.contract import ModelError, fingerprint
from khabar.document import DataError
from khabar.labeller import BATCH_TOKENS
from khabar.plan import Engine, in_order

__all__ = ["Made", "local", "ray"]


@dataclass(frozen=True, slots=True)
class Made:
    """An engine, what of its settings decides the labels, and whether it may read the input more than once."""

    engine: Engine
    settings: Mapping[str, str | int]
    rereads: bool


def local(
    model: Path,
    device: str = "auto",
    backend: str = "auto",
    precision: str = "auto",
    batch_tokens: int = BATCH_TOKENS,
) -> Made:
    """In this process; device, backend and precision as of `khabar.backends.load`."""
    chosen = backend_of(model, backend)
    labeller = load(model, device, chosen, precision)
    used = {"device": labeller.device_type, "precision": labeller.precision}
    settings = _settings(model, chosen, used, batch_tokens)
    return Made(in_order(partial(labeller.stream, batch_tokens=batch_tokens)), settings, rereads=False)


def ray(
    model: Path,
    workers: int = 2,
    address: str | None = None,
    worker_cpus: int = 1,
    worker_gpus: float = 0.0,
    device: str = "auto",
    backend: str = "auto",
    precision: str = "auto",
    batch_tokens: int = BATCH_TOKENS,
) -> Made:
    """On a Ray cluster (``khabar[ray]``).

    Args:
        model: a model folder, at the same path on every machine.
        workers: processes that label, each of which holds the model.
        address: of a running cluster, ``auto`` for the one that this machine belongs to, or ``None``: Ray is started
            here and stopped at the end.
        worker_cpus, worker_gpus: of each worker; its arithmetic uses as many threads as it has processors.
        device: what the workers have decides it; another one is refused.
        backend: as of `khabar.backends.load`.
        precision: ``auto`` is float32, since the workers' machines may differ.
        batch_tokens: as of `local`.

    Raises `DataError` where Ray is not installed; labelling does, where the cluster cannot be reached or does not have
    what the workers need.

    """
    try:
        from khabar import cluster
    except ImportError:
        raise DataError("engine=ray needs Ray: pip install 'khabar[ray]'") from None
    has = "cuda" if worker_gpus else "cpu"
    chosen = backend_of(model, backend)
    if device not in ("auto", has):
        raise ModelError(f"device={device}, but with worker_gpus={worker_gpus:g} the workers compute on {has}")
    if chosen == "onnx" and worker_gpus:
        raise ModelError(f"{model}: backend=onnx computes on the processor: worker_gpus=0")
    exact = "float32" if precision == "auto" else precision
    used = {"device": has, "precision": "as exported" if chosen == "onnx" else exact}
    settings = _settings(model, chosen, used, batch_tokens)
    engine = cluster.engine(
        cluster.Worker(
            str(model.resolve()),
            str(settings["model"]),
            {"device": has, "backend": chosen, "precision": exact},
            worker_cpus,
            batch_tokens,
        ),
        workers,
        address,
        {"num_cpus": worker_cpus, "num_gpus": worker_gpus},
    )
    return Made(engine, settings, rereads=True)


def _settings(model: Path, backend: str, used: Mapping[str, str], batch_tokens: int) -> dict[str, str | int]:
    if batch_tokens < 1:
        raise DataError(f"batch_tokens={batch_tokens}: expected a number of subwords from 1")
    return {"model": fingerprint(model, BACKENDS[backend]), "backend": backend, **used, "batch_tokens": batch_tokens}
