"""What the benchmarks share: an encoder of AraBERT-base's shape, its arithmetic, and what the processor reaches."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, BertConfig, BertModel

from khabar.contract import COMPACT
from khabar.encoder import bf16_is_native

ARABERT_BASE: dict[str, Any] = {  # BERT-base, of which layers, heads and widths are the defaults
    "vocab_size": 64_000,
    "hidden_size": 768,
    "intermediate_size": 3072,
}
PEAK = 2048  # rows and columns of the matrices that the peak is measured with


def arabert_shaped(folder: Path) -> Path:
    """Write an encoder of AraBERT-base's shape with random weights, which reads the subwords of the compact one."""
    torch.manual_seed(1)
    BertModel(BertConfig(**ARABERT_BASE), add_pooling_layer=False).save_pretrained(folder)
    AutoTokenizer.from_pretrained(COMPACT).save_pretrained(folder)
    return folder


def peak() -> dict[str, float]:
    """Floating-point operations a second that a large matrix product reaches, by number format."""
    found = {}
    formats = {"float32": torch.float32, **({"bf16": torch.bfloat16} if bf16_is_native() else {})}
    for name, kind in formats.items():
        left, right = torch.randn(PEAK, PEAK, dtype=kind), torch.randn(PEAK, PEAK, dtype=kind)
        seconds = []
        for _ in range(8):
            began = time.perf_counter()
            left @ right
            seconds.append(time.perf_counter() - began)
        found[name] = 2 * PEAK**3 / min(seconds)
    return found


def operations(config: Any, lengths: Sequence[int]) -> float:
    """Floating-point operations of the encoder over inputs of these many subwords; training takes three times them."""
    width, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    linear = 2 * (4 * width**2 + 2 * width * inner)
    return float(sum(layers * (length * linear + 4 * length**2 * width) for length in lengths))


def machine() -> str:
    """The processor, and how many threads of it torch computes with."""
    name = platform.processor() or platform.machine()
    try:
        rows = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(row.partition(":")[2].strip() for row in rows if row.startswith("model name"))
    except (OSError, StopIteration):  # not Linux, or a processor that does not say
        pass
    threads = torch.get_num_threads()
    return f"{name}, {threads} thread{'s' * (threads > 1)}, torch {torch.__version__}"
