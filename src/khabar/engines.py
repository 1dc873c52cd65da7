"""Where articles are labelled: in this process, or on a cluster. Both give the same labels."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from khabar.backends import load
from khabar.document import DataError
from khabar.labeller import BATCH_TOKENS
from khabar.shards import Engine, in_order

__all__ = ["local", "ray"]


def local(model: Path, batch_tokens: int = BATCH_TOKENS, **loading: Any) -> Engine:
    """In this process; ``loading`` goes to `khabar.backends.load`."""
    return in_order(partial(load(model, **loading).stream, batch_tokens=batch_tokens))


def ray(
    model: Path,
    workers: int = 2,
    address: str | None = None,
    worker_cpus: int = 1,
    worker_gpus: float = 0.0,
    batch_tokens: int = BATCH_TOKENS,
    **loading: Any,
) -> Engine:
    """On a Ray cluster (``khabar[ray]``).

    Args:
        model: a model folder, at the same path on every machine.
        workers: processes that label, each of which holds the model.
        address: of a running cluster, ``auto`` for the one that this machine belongs to, or ``None``: Ray is started
            here and stopped at the end.
        worker_cpus, worker_gpus: of each worker; its arithmetic uses as many threads as it has processors.
        batch_tokens, loading: as of `local`.

    Raises `DataError` where Ray is not installed; labelling does, where the cluster cannot be reached or does not have
    what the workers need.

    """
    try:
        from khabar import cluster
    except ImportError:
        raise DataError("engine=ray needs Ray: pip install 'khabar[ray]'") from None
    if loading.get("device", "auto") == "auto":
        loading["device"] = "cuda" if worker_gpus else "cpu"
    resources = {"num_cpus": worker_cpus, "num_gpus": worker_gpus}
    return cluster.engine(model, workers, address, resources, {**loading, "threads": worker_cpus}, batch_tokens)
