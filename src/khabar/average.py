"""The mean of several models' weights: one model, as fast as each of them, often better than any.

Models that were fine-tuned from one ancestor, with other seeds, lie in one valley of the loss, and so does their
mean ("Model soups", Wortsman et al., ICML 2022). Models of different ancestors have no useful mean: nothing here can
tell, but the score on dev, which is printed and kept, will.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from khabar.cards import CARD, intervals, mean_card
from khabar.contract import CONTRACT, ModelError
from khabar.corpus import Corpus
from khabar.document import DataError
from khabar.features import answerable
from khabar.formats import lines
from khabar.metrics import score
from khabar.record import headline
from khabar.tagger import Tagger

__all__ = ["average"]

log = logging.getLogger(__name__)
_OF_A_RUN = ("temperatures", "thresholds", "meta", "dropout")  # what models of one contract may differ in


def average(
    models: Sequence[Path | str],
    corpus: Corpus,
    output: Path | str,
    split: str = "dev",
    half: bool = False,
    device: str = "auto",
) -> Path:
    """Write the model folder whose weights are the mean of the models' weights.

    Args:
        models: model folders of one contract: same encoder shape, tokenizer, ontology, heads and windows.
        corpus, split: documents that no model was trained on; temperatures and thresholds are fitted on them, and the
            mean is scored on them.
        output: the model folder to write; its ``meta`` holds that score, and those that the members brought along.
        half: round the weights to float16, for a model that is passed on.

    Returns ``output``. Raises `ModelError` where contracts differ, `DataError` for fewer than two models.

    """
    folders = [Path(model) for model in models]
    if len(folders) < 2:
        raise DataError(f"expected at least two models to average, got {[str(folder) for folder in folders]}")
    taggers = [Tagger.load(folder, device) for folder in folders]
    _check(folders)
    members = {str(folder): tagger.meta.get("dev", {}) for folder, tagger in zip(folders, taggers, strict=True)}
    mean = taggers[0]
    weights = [tagger.model.state_dict() for tagger in taggers]
    for folder, other in zip(folders[1:], weights[1:], strict=True):
        if {name: tensor.shape for name, tensor in other.items()} != {n: t.shape for n, t in weights[0].items()}:
            raise ModelError(f"{folder}: its encoder is of another shape than that of {folders[0]}")
    with torch.no_grad():
        for name, tensor in weights[0].items():
            if tensor.is_floating_point():
                tensor.copy_(torch.stack([other[name] for other in weights]).mean(dim=0))
    documents = [answerable(mean.reader.ontology.check(d), mean.reader.heads) for d in corpus.split(split)]
    mean.calibrate(documents)
    predicted = list(mean.tag(documents))
    measured = score(documents, predicted).to_json()
    scores = headline(measured)
    log.info("on %s: %s", split, scores)
    mean.meta = {"data": {str(corpus.path): corpus.hash}, "mean of": members, split: scores}
    output = Path(output)
    mean.save(output, half)
    run = {"split": split, "dev": measured, "dev_intervals": intervals(documents, predicted)}
    lines.write(output / CARD, [mean_card(folders, corpus, run, mean.reader)])
    return output


def _check(folders: Sequence[Path]) -> None:
    """Raise `ModelError` that names what differs between the contracts of the first folder and another."""
    read = [json.loads((folder / CONTRACT).read_text(encoding="utf-8")) for folder in folders]
    # As text: the order of types is that of the labels.
    contracts = [{key: json.dumps(value) for key, value in contract.items()} for contract in read]
    for folder, contract in zip(folders[1:], contracts[1:], strict=True):
        keys = [key for key in contract if key not in _OF_A_RUN and contract[key] != contracts[0].get(key)]
        if keys:
            raise ModelError(f"{folder}: not of one contract with {folders[0]}: they differ in {keys}")
