"""«قليلٌ يكفي»: little of a large encoder is trained, and the folder that comes out is like any other."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import TrainingArguments, set_seed

from khabar.batches import features
from khabar.corpus import Corpus
from khabar.document import DataError, Document
from khabar.features import HEADS, MARKERS
from khabar.metrics import score
from khabar.model import Collator
from khabar.tagger import Tagger
from khabar.train import train
from khabar.trainer import DocumentTrainer

peft = pytest.importorskip("peft", reason="khabar[peft] is not installed")
from khabar.lora import ALL, adapt, merge  # noqa: E402 - after the skip

MakeTagger = Callable[..., Tagger]
Run = Callable[..., Path]
SMALL: dict[str, Any] = {"r": 4, "alpha": 8}


@pytest.fixture
def run(
    encoder: Path, corpus: Corpus, short_run: Callable[..., Callable[..., TrainingArguments]], tmp_path: Path
) -> Run:
    """Train adapters for an epoch; any parameter of `train` may be given, and fields of the trainer as ``fields``."""

    def start(fields: dict[str, Any] = {}, **changes: Any) -> Path:  # noqa: B006 - only read
        parameters: dict[str, Any] = {
            "model": partial(Tagger.create, str(encoder)),
            "task": {"heads": list(HEADS), "length": 96, "argument_length": 128},
            "corpus": corpus,
            "trainer": short_run(**{"num_train_epochs": 1, **fields}),
            "output": tmp_path / "run",
            "precision": "float32",
            "peft": SMALL,
            "learning_rate": 5e-3,
            "head_learning_rate": 5e-3,
        }
        return train(**(parameters | changes))

    return start


def trained(tagger: Tagger) -> set[str]:
    return {name for name, parameter in tagger.model.named_parameters() if parameter.requires_grad}


def batch(tagger: Tagger, documents: tuple[Document, ...]) -> dict[str, Any]:
    reader = tagger.reader
    instances = [one for document in documents[:4] for one in reader.instances(reader.read(document))]
    return Collator(reader)([features(reader, instance, labels=True) for instance in instances])


def stepped(tagger: Tagger, documents: tuple[Document, ...], steps: int = 3) -> None:
    """Take some large steps, so that adapters do something."""
    parameters = [parameter for parameter in tagger.model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=0.02)
    for _ in range(steps):
        tagger.model.train()
        tagger.model(**batch(tagger, documents))["loss"].backward()
        optimiser.step()
        optimiser.zero_grad()
    tagger.model.eval()


# What is trained


def test_adapters_heads_and_segments_are_trained_and_nothing_else(make_tagger: MakeTagger) -> None:
    tagger = make_tagger()
    before = sum(parameter.numel() for parameter in tagger.model.parameters())
    adapt(tagger, **SMALL)
    names = trained(tagger)
    kinds = {"lora" if "lora_" in name else name.rpartition(".")[0] for name in names}
    assert {kind.rpartition(".")[2] for kind in kinds if kind != "lora"} == {*HEADS, "token_type_embeddings"}
    # two layers of six linear layers, an A and a B each
    assert sum("lora_A" in name for name in names) == sum("lora_B" in name for name in names) == 12
    sizes = {name: parameter.numel() for name, parameter in tagger.model.named_parameters()}
    assert sum(sizes[name] for name in names) < before / 2


def test_segments_stay_where_no_trigger_is_marked(make_tagger: MakeTagger) -> None:
    tagger = make_tagger(("entities",))
    adapt(tagger, **SMALL)
    assert all("lora_" in name or name.startswith("heads.") for name in trained(tagger))


def test_the_markers_of_a_trigger_are_learned_where_there_are_no_segments(
    make_tagger: MakeTagger, one_segment_encoder: Path, documents: tuple[Document, ...]
) -> None:
    tagger = make_tagger(encoder=one_segment_encoder, length=96, argument_length=128)
    markers = tagger.reader.tokenizer.convert_tokens_to_ids(list(MARKERS))
    encoder: Any = tagger.model.encoder
    before = encoder.get_input_embeddings().weight.detach().clone()
    adapt(tagger, **SMALL)
    stepped(tagger, documents)
    merge(tagger)
    encoder = tagger.model.encoder
    changed = (encoder.get_input_embeddings().weight != before).any(dim=1).nonzero().flatten()
    assert changed.tolist() == sorted(markers)
    assert isinstance(encoder.get_input_embeddings(), torch.nn.Embedding)


def test_a_run_of_an_encoder_of_one_segment_leaves_an_ordinary_folder(run: Run, one_segment_encoder: Path) -> None:
    folder = run(model=partial(Tagger.create, str(one_segment_encoder)), fields={"gradient_checkpointing": True})
    weights = load_file(folder / "model.safetensors")
    assert not [name for name in weights if "rows" in name or "lora" in name]
    assert Tagger.load(folder, "cpu").reader.heads == HEADS


@pytest.mark.parametrize(
    ("targets", "layers"),
    [(ALL, 12), (["query", "value"], 4), ("attention.output.dense", 2), (["layer.1.attention.self.key"], 1)],
)
def test_layers_are_chosen_by_the_ends_of_their_names(
    targets: str | list[str], layers: int, make_tagger: MakeTagger
) -> None:
    tagger = make_tagger()
    adapt(tagger, **SMALL, targets=targets)
    assert sum("lora_A" in name for name in trained(tagger)) == layers


def test_frozen_layers_stay_as_they_are(make_tagger: MakeTagger) -> None:
    tagger = make_tagger(frozen=1)
    adapt(tagger, **SMALL)
    assert all("layer.1." in name or name.startswith("heads.") for name in trained(tagger))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"targets": ["querry"]}, r"no linear layer is called \['querry'\].*'query', 'value'"),
        ({"targets": []}, "no linear layer"),
        ({"r": 0}, "expected r and alpha from 1"),
        ({"dropout": 1.0}, "and dropout below 1"),
    ],
)
def test_what_cannot_be_adapted_is_named(settings: dict[str, Any], message: str, make_tagger: MakeTagger) -> None:
    with pytest.raises(DataError, match=message):
        adapt(make_tagger(), **{**SMALL, **settings})


def test_without_the_package_the_extra_is_named(make_tagger: MakeTagger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(DataError, match=r"pip install 'khabar\[peft\]'"):
        adapt(make_tagger(), **SMALL)


# What is saved


def test_merged_adapters_label_as_they_did(
    make_tagger: MakeTagger, documents: tuple[Document, ...], tmp_path: Path
) -> None:
    tagger = make_tagger(length=96, argument_length=128)
    names = list(tagger.model.state_dict())
    adapt(tagger, **SMALL)
    stepped(tagger, documents)
    before = logits(tagger, documents)
    assert not close(before, logits(make_tagger(length=96, argument_length=128), documents))
    merge(tagger)
    assert close(before, logits(tagger, documents))
    assert list(tagger.model.state_dict()) == names
    tagger.save(tmp_path / "model")
    loaded = Tagger.load(tmp_path / "model", "cpu")
    merged, kept = logits(tagger, documents), logits(loaded, documents)
    assert all(torch.equal(scores, kept[head]) for head, scores in merged.items())
    assert list(loaded.tag(documents)) == list(tagger.tag(documents))


def logits(tagger: Tagger, documents: tuple[Document, ...]) -> dict[str, Tensor]:
    inputs = {name: value for name, value in batch(tagger, documents).items() if name != "labels"}
    with torch.inference_mode():
        found: dict[str, Tensor] = tagger.model.eval()(**inputs)["logits"]
    return found


def close(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.allclose(scores, other[head], atol=1e-4) for head, scores in one.items())


def test_adapters_that_are_no_numbers_are_not_merged(make_tagger: MakeTagger) -> None:
    tagger = make_tagger()
    adapt(tagger, **SMALL)
    with torch.no_grad():
        next(p for name, p in tagger.model.named_parameters() if "lora_B" in name).fill_(float("nan"))
    with pytest.raises(DataError, match="the adapters cannot be merged"):
        merge(tagger)


# A run


def test_a_run_with_adapters_learns_and_leaves_an_ordinary_folder(run: Run, encoder: Path, corpus: Corpus) -> None:
    folder = run(fields={"num_train_epochs": 10}, patience=10)
    record = json.loads((folder.parent / "run.json").read_text(encoding="utf-8"))
    sizes = record["parameters"]
    assert sizes["trained"] < sizes["all"] / 2
    losses = [row["loss"] for row in record["history"] if "loss" in row]
    assert losses[-1] < losses[0] / 2
    weights = load_file(folder / "model.safetensors")
    assert not [name for name in weights if "lora" in name or "base_layer" in name]
    before = load_file(encoder / "model.safetensors")
    word_embeddings = "embeddings.word_embeddings.weight"
    assert torch.equal(weights[f"encoder.{word_embeddings}"], before[word_embeddings])
    query = "encoder.layer.0.attention.self.query.weight"
    assert 1 <= torch.linalg.matrix_rank(weights[f"encoder.{query}"] - before[query], atol=1e-5) <= SMALL["r"]
    tagger = Tagger.load(folder, "cpu")
    assert score(corpus.split("dev"), tagger.tag(corpus.split("dev"))).to_json() == record["dev"]


def test_an_interrupted_run_goes_on(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(output=tmp_path / "whole", fields={"num_train_epochs": 3})
    evaluate = DocumentTrainer.evaluate

    def interrupt(self: DocumentTrainer, *arguments: Any, **names: Any) -> Any:
        if self.state.epoch == 2:
            raise KeyboardInterrupt
        return evaluate(self, *arguments, **names)

    monkeypatch.setattr(DocumentTrainer, "evaluate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(fields={"num_train_epochs": 3})
    monkeypatch.setattr(DocumentTrainer, "evaluate", evaluate)
    folder = run(fields={"num_train_epochs": 3})
    weights, expected = load_file(folder / "model.safetensors"), load_file(whole / "model.safetensors")
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor, msg=name)


# Gradient checkpointing


@pytest.mark.parametrize("adapters", [{}, SMALL], ids=["full", "lora"])
def test_computing_activations_again_changes_no_loss(
    adapters: dict[str, Any], run: Run, tmp_path: Path, make_tagger: MakeTagger
) -> None:
    found = []
    for name, checkpointing in (("kept", None), ("again", True)):
        folder = run(
            output=tmp_path / name, peft=adapters, fields={"gradient_checkpointing": checkpointing, "logging_steps": 1}
        )
        history = json.loads((folder.parent / "run.json").read_text(encoding="utf-8"))["history"]
        found.append([row["loss"] for row in history if "loss" in row])
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert len(found[0]) > 3


def test_activations_are_computed_again_where_asked(make_tagger: MakeTagger, documents: tuple[Document, ...]) -> None:
    tagger = make_tagger()
    adapt(tagger, **SMALL)
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    encoder: Any = tagger.model.encoder
    encoder.base_model.model.encoder.layer[0].attention.register_forward_hook(count)
    for enabled in (False, True):
        if enabled:
            tagger.model.activation_checkpointing_enable()
        tagger.model.train()
        set_seed(1)
        tagger.model(**batch(tagger, documents))["loss"].backward()
    assert calls == 1 + 2
