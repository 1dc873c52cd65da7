"""The labeller in ONNX Runtime: no torch, no transformers. `khabar.export` makes the folders that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from khabar import contract
from khabar.contract import GRAPH, ModelError
from khabar.document import DataError
from khabar.features import Floats, Reader
from khabar.labeller import Labeller
from khabar.tokenizer import Tokenizer

__all__ = ["OnnxLabeller", "session"]


@dataclass
class OnnxLabeller(Labeller):
    """A model folder whose ``model.onnx`` stands in place of the weights; ``session`` runs it, on the processor."""

    reader: Reader
    session: Any
    temperatures: dict[str, float] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> OnnxLabeller:
        """Read a folder; ``threads`` is as many as there are processors unless given.

        Raises `ModelError` where its parts do not fit each other, `DataError` where ONNX Runtime is not installed.
        """
        record = contract.read(folder)
        reader = contract.reader(folder, record, Tokenizer.load)
        running = session(folder / GRAPH, threads)
        outputs = {output.name: output.shape[-1] for output in running.get_outputs()}
        if outputs != record["heads"]:
            raise ModelError(f"{folder}: {GRAPH} answers {outputs}, the contract says {record['heads']}")
        return cls(reader, running, record["temperatures"], record.get("thresholds", {}), record["meta"])

    @property
    def device_type(self) -> str:
        """The processor."""
        return "cpu"

    @property
    def precision(self) -> str:
        """That of the graph."""
        return "as exported"

    def compute(self, batch: Mapping[str, Any]) -> dict[str, Floats]:
        """The arrays of a batch -> logits, (batch, words, tags) for each head."""
        wanted = {node.name: batch[node.name] for node in self.session.get_inputs()}
        names = [node.name for node in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, wanted), strict=True))


def session(graph: Path, threads: int | None = None) -> Any:
    """An ONNX Runtime session on the processor; raises `ModelError` where the file cannot be run."""
    try:
        import onnxruntime as runtime
    except ImportError:
        raise DataError("the ONNX backend needs ONNX Runtime: pip install 'khabar[onnx]'") from None
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or 0  # 0: one for each core
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Every batch has a shape of its own, and a plan kept for each would only grow. The arena may stay: with it, memory
    # stood still after a few of 48 shapes.
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    if not graph.is_file():
        raise ModelError(f"{graph}: there is no such file")
    try:
        return runtime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a class of its own for each kind of failure, without a common one
        raise ModelError(f"{graph}: ONNX Runtime cannot run it: {error}") from None
