"""One head of a model as a plain `AutoModelForTokenClassification`, for whoever has transformers and not khabar."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForTokenClassification, AutoTokenizer

from khabar import bio
from khabar.contract import ModelError, readable_length
from khabar.document import DataError
from khabar.features import CLITICS, ENTITIES, TRIGGERS, Floats, Reader
from khabar.labeller import Labeller
from khabar.model import Model, tensors
from khabar.tagger import Tagger

__all__ = ["HEADS", "PlainLabeller", "chosen", "described", "narrowed", "write"]

HEADS = (ENTITIES, TRIGGERS)  # which read a text as it is: arguments are primed with a trigger, clitics tag no mentions


@dataclass
class PlainLabeller(Labeller):
    """The labeller on a plain folder, to compare it with the model that it was written from."""

    reader: Reader
    network: nn.Module
    temperatures: dict[str, float] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path, reader: Reader) -> PlainLabeller:
        """Read a folder that `write` wrote; ``reader`` is that of the model, and gets the folder's tokenizer."""
        network: Any = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32)
        return cls(replace(reader, tokenizer=AutoTokenizer.from_pretrained(folder), _cache={}), network.eval())

    @property
    def device_type(self) -> str:
        """``cpu``."""
        return "cpu"

    @property
    def precision(self) -> str:
        """``float32``."""
        return "float32"

    def compute(self, batch: Mapping[str, Any]) -> dict[str, Floats]:
        """The arrays of a batch -> logits, (batch, words, tags): those of each word's first subword."""
        inputs = tensors(batch)
        positions = inputs.pop("positions")
        with torch.inference_mode():
            scores = self.network(**inputs).logits
        found = scores.gather(1, positions.unsqueeze(-1).expand(-1, -1, scores.shape[-1]))
        return {self.reader.heads[0]: found.float().numpy()}


def chosen(heads: Sequence[str], head: str | None) -> str:
    """The head to write. Raises `DataError` where it is none of the model's, or cannot stand alone."""
    able = [name for name in HEADS if name in heads]
    if head is None and len(able) == 1:
        return able[0]
    if head not in able:
        named = "say which" if head is None else f"head {head!r}"
        raise DataError(f"format=transformers: {named}: expected one of {able} of this model")
    return head


def narrowed(tagger: Tagger, head: str) -> Tagger:
    """The tagger with this head alone, as it was trained: without clitics, temperatures and thresholds."""
    reader = replace(tagger.reader, heads=(head,), _cache={})
    model = Model(tagger.model.encoder, reader.sizes(), tagger.model.dropout.p)
    model.heads[head] = tagger.model.heads[head]
    return Tagger(reader, model)


def write(tagger: Tagger, folder: Path) -> None:
    """Write config with names of tags, weights and tokenizer of a tagger with one head (`narrowed`).

    Raises `ModelError` where transformers classifies tokens of this kind of encoder otherwise than by one linear layer.
    """
    (head,) = tagger.reader.heads
    encoder: Any = tagger.model.encoder
    config = copy.deepcopy(encoder.config)
    config.id2label = dict(enumerate(bio.tag_names(tagger.reader.labels(head))))
    config.label2id = {name: number for number, name in config.id2label.items()}
    if hasattr(config, "classifier_dropout"):
        config.classifier_dropout = tagger.model.dropout.p
    make: Any = AutoModelForTokenClassification
    try:
        network = make.from_config(config, dtype=torch.float32)
    except ValueError as error:
        raise ModelError(f"{config.model_type}: transformers has no token classification for it: {error}") from error
    prefix = f"{network.base_model_prefix}."
    kind, linear = type(network).__name__, tagger.model.heads[head]
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items() if not name.startswith(prefix)}
    if own != {f"classifier.{name}": tuple(tensor.shape) for name, tensor in linear.state_dict().items()}:
        raise ModelError(
            f"{config.model_type}: {kind} has a head of another shape, {sorted(own)}: our heads are one linear layer"
        )
    weights = {f"{prefix}{name}": tensor for name, tensor in encoder.state_dict().items()}
    weights |= {f"classifier.{name}": tensor for name, tensor in linear.state_dict().items()}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"{config.model_type}: the encoder's weights do not fit {kind}: {error}") from error
    network.save_pretrained(folder)
    tokenizer = copy.deepcopy(tagger.reader.tokenizer)
    tokenizer.model_max_length = readable_length(config)  # a longer text is cut off, not an error of an index
    tokenizer.save_pretrained(folder)


def described(whole: Tagger, head: str, record: Mapping[str, Any]) -> str:
    """The text of the folder's card: how to use it, and what khabar does beyond it.

    ``whole`` is the model that the head is of, ``record`` what was measured (``export.json``).
    """
    reader = whole.reader
    compared, f1 = record["compared on"], record["f1"]
    header = (
        f"F1 on {compared['split']} of {compared['corpus']}",
        "the model in khabar",
        "this head alone",
        "this folder",
    )
    rows = "\n".join(
        f"| {name} | {f1['khabar'][name]:.4f} | {f1['before'][name]:.4f} | {f1['after'][name]:.4f} |"
        for name in f1["after"]
    )
    differing = "\n".join(f"- {line}" for line in _differences(whole, head))
    return f"""# {reader.ontology.name}: {head}, for transformers

The {head} of a khabar model as a plain `AutoModelForTokenClassification`.

```python
from transformers import pipeline

tag = pipeline("token-classification", model="FOLDER", aggregation_strategy="first")
tag(text)  # preprocessed, see below
```

or, exactly the tag of every word of `text.split()`, whatever the tokenizer:

```python
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("FOLDER")
model = AutoModelForTokenClassification.from_pretrained("FOLDER").eval()


def tags(text):
    inputs = tokenizer(text.split(), is_split_into_words=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        best = model(**inputs).logits[0].argmax(dim=1).tolist()
    found, pieces = {{}}, inputs.tokens()
    for place, word in enumerate(inputs.word_ids()):
        if word is not None and (word not in found or pieces[place - 1] == "▁" and found[word] == place - 1):
            found[word] = place
    return [model.config.id2label[best[place]] for place in found.values()]
```

## What khabar does beyond this

{differing}

| {" | ".join(header)} |
|---|---|---|---|
{rows}

In the last two columns, of the best tags that are valid IOB2, {100 * record["agreement"]:.2f} % of words have the same
one. `export.json` says of what, and with which versions.
"""


def _differences(whole: Tagger, head: str) -> list[str]:
    reader, longest = whole.reader, readable_length(whole.model.encoder.config)
    found = []
    if reader.preprocessing == "none":
        found.append("**Preprocessing**: none but for white space: `' '.join(text.split())`.")
    else:
        found.append(
            f"**Preprocessing** (`{reader.preprocessing}`): the model learned preprocessed text, so give it such: "
            f"`khabar.arabic.preprocess(text, '{reader.preprocessing}').text`, or the package `arabert`. Offsets that "
            "come back are of that text; khabar's are of the text as it was given."
        )
    found += [
        "**Decoding**: the pipeline takes the best tag of each subword by itself, so that I may come without B; khabar "
        "takes the best sequence that is valid IOB2.",
        "**Words**: tags were learned on the first subword of each word, what the others say means nothing: "
        "`aggregation_strategy='first'`. Where a unigram tokenizer begins a word with a lone `▁`, its second subword "
        "counts, which the pipeline does not know; nor does it always know where such a tokenizer's words end.",
        f"**Windows**: a text is cut off behind {longest} subwords; khabar reads texts of any length in windows "
        f"of {reader.length} subwords of whole sentences, with {reader.context} of context on each side.",
        "**Scores** are not calibrated, and there is no threshold below which a mention is left out.",
    ]
    if CLITICS in reader.heads:
        found.append(
            "**Clitics**: mentions are whole written words here; khabar begins them behind the conjunctions and "
            "prepositions that are written onto them (وبغداد: بغداد)."
        )
    if head == TRIGGERS:
        found.append("**Arguments** of events are found by khabar alone: they take a second pass for each trigger.")
    else:
        found.append("**Events** are not in this folder: this pass has no triggers and no arguments.")
    return found
