"""A model as an ONNX graph, in float32 or int8, for whoever labels without PyTorch."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from khabar.batches import arrays, batches, features
from khabar.contract import CONFIG, CONTRACT, GRAPH, ModelError
from khabar.document import DataError
from khabar.features import Instance
from khabar.int8 import calibrated, quantized
from khabar.tagger import Tagger
from khabar.tokenizer import SPECIAL, Tokenizer

__all__ = ["OPSET", "described", "write"]

OPSET = 20  # the first with Gelu
# Of the encoder's products, the ones that int8 harms most, which stay in float32. On Ahdath's dev the labeller's F1
# (mean) fell by 0.8 points with 0 (before weights were clipped), 0.53 with 0.15, 0.42 with 0.3.
_SPARED = 0.3
_CALIBRATION_TOKENS = 1024  # subwords in a batch whose activations are all kept


def write(tagger: Tagger, source: Path, folder: Path, texts: Sequence[Instance]) -> None:
    """Fill the folder of an export of a model folder, in int8 where there are instances to calibrate on.

    Raises `ModelError` where the model cannot be translated, `DataError` where ONNX is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise DataError("to export to ONNX: pip install 'khabar[export]'") from None
    for name in (CONTRACT, CONFIG):
        shutil.copyfile(source / name, folder / name)
    tagger.reader.tokenizer.save_pretrained(folder)
    _check_tokenizer(tagger, folder)
    graph = folder / GRAPH
    _translate(tagger, graph)
    if texts:
        lengths = [len(instance.input_ids) for instance in texts]
        order = sorted(range(len(texts)), key=lengths.__getitem__)
        rows = batches(order, lengths, _CALIBRATION_TOKENS)
        read = (arrays(tagger.reader, [features(tagger.reader, texts[row]) for row in part]) for part in rows)
        channels = calibrated(graph, folder / "calibration.onnx", read)
        onnx.save(quantized(onnx.load(graph), channels, _SPARED), graph)


def described(tagger: Tagger, record: Mapping[str, Any]) -> str:
    """The text of the folder's card; ``record`` is what was measured (``export.json``)."""
    f1, speed = record["f1"], record["words_per_second"]
    rows = "\n".join(f"| {name} | {value:.4f} | {f1['after'][name]:.4f} |" for name, value in f1["before"].items())
    heads = ", ".join(tagger.reader.heads)
    return f"""# {tagger.reader.ontology.name}: {heads}; {record["format"]}, {record["quantize"]}

A khabar model, exported: label articles with `python -m khabar.predict PATH --model FOLDER --output FILE.jsonl`
(`pip install 'khabar[onnx]'`).

| on {record["compared on"]["split"]} of {record["compared on"]["corpus"]} | model | export |
|---|---|---|
{rows}
| words/s | {speed["before"]} | {speed["after"]} |

{100 * record["agreement"]:.2f} % of words keep their tags. Measured on {record["machine"]["processor"]},
{record["machine"]["threads"]} threads; `export.json` says of what, and with which versions.
"""


class _Positional(nn.Module):
    """The model with arrays in and arrays out, as a graph has them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, positions: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Logits, (batch, words, tags), in the order of the heads."""
        return tuple(self.model(input_ids, attention_mask, positions, token_type_ids)["logits"].values())


def _translate(tagger: Tagger, graph: Path) -> None:
    """Write the model as an ONNX graph whose batch, subwords and words are free.

    Attention is spelled out (``eager``): the fused kinds are translated into more steps. A MultiHeadAttention node of
    ONNX Runtime in its place was no faster on a processor with AVX2.
    """
    batch, subwords, words = (torch.export.Dim(name) for name in ("batch", "subwords", "words"))
    example = {
        "input_ids": torch.arange(48).reshape(2, 24) % 5,
        "attention_mask": torch.ones(2, 24, dtype=torch.long),
        "positions": torch.arange(10).repeat(2, 1),
    }
    shapes: dict[str, dict[int, Any]] = {
        "input_ids": {0: batch, 1: subwords},
        "attention_mask": {0: batch, 1: subwords},
        "positions": {0: batch, 1: words},
    }
    if tagger.reader.segments:
        example["token_type_ids"] = torch.zeros(2, 24, dtype=torch.long)
        shapes["token_type_ids"] = {0: batch, 1: subwords}
    encoder: Any = tagger.model.encoder
    usual = encoder.config._attn_implementation
    level = logging.getLogger("torch.onnx").level
    try:
        encoder.set_attn_implementation("eager")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                _Positional(tagger.model).eval(),
                tuple(example.values()),
                input_names=list(example),
                output_names=list(tagger.reader.heads),
                dynamic_shapes=shapes,
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
            program.save(graph, external_data=False)
    except Exception as error:  # what an encoder trips over is of any class
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"{encoder.config.model_type}: torch.onnx.export cannot translate it: {reason}") from error
    finally:
        encoder.set_attn_implementation(usual)
        logging.getLogger("torch.onnx").setLevel(level)


def _check_tokenizer(tagger: Tagger, folder: Path) -> None:
    """Raise `ModelError` where the tokenizer, read without transformers, does not cut as the model's own does."""
    ours, theirs = Tokenizer.load(folder), tagger.reader.tokenizer
    if others := [role for role in SPECIAL if getattr(ours, f"{role}_id") != getattr(theirs, f"{role}_id")]:
        raise ModelError(f"{folder}: without transformers the tokenizer has another {', '.join(others)}")
    pieces = sorted(theirs.get_vocab())
    cuts = (cut(pieces, add_special_tokens=False)["input_ids"] for cut in (ours, theirs))
    for piece, one, other in zip(pieces, *cuts, strict=True):
        if one != other:
            raise ModelError(
                f"{folder}: read without transformers the tokenizer cuts {piece!r} into {one}, not {other}"
            )
