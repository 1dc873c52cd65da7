"""«نقلت الوكالة الخبر كما هو»: a model that is exported labels as it did, without torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer, ElectraConfig, ElectraModel

from khabar import export as exporting
from khabar import graph
from khabar.agreement import agreement, tags
from khabar.backends import load
from khabar.contract import ModelError
from khabar.corpus import Corpus
from khabar.document import DataError, Document
from khabar.evaluate import evaluate
from khabar.export import export
from khabar.features import ARGUMENTS, ENTITIES, HEADS, Instance
from khabar.formats import jsonl
from khabar.labeller import Labeller
from khabar.onnx import OnnxLabeller
from khabar.tagger import Tagger
from khabar.tokenizer import SPECIAL, Tokenizer

MakeTagger = Callable[..., Tagger]


@pytest.fixture(scope="module")
def float32(trained: Path, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained model, exported."""
    folder = tmp_path_factory.mktemp("exports") / "float32"
    export(trained, folder, corpus)
    return folder


@contextmanager
def again(float32: Path) -> Iterator[None]:
    """Translating takes seconds: the graph of the trained model is there already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "_translate", lambda _, file: shutil.copyfile(float32 / "model.onnx", file))
        yield


@pytest.fixture(scope="module")
def int8(float32: Path, trained: Path, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained model in 8-bit integers; as tiny a model as this may lose more than the gate lets through."""
    folder = tmp_path_factory.mktemp("exports") / "int8"
    with again(float32):
        export(trained, folder, corpus, quantize="int8", calibration=12, force=True)
    return folder


def instances(labeller: Labeller, documents: tuple[Document, ...]) -> list[Instance]:
    return [one for document in documents for one in labeller.reader.instances(labeller.reader.read(document))]


def close(one: Labeller, other: Labeller, documents: tuple[Document, ...], within: float) -> None:
    inputs = instances(one, documents)
    for row, theirs in zip(one.logits(inputs), other.logits(inputs), strict=True):
        for head, scores in row.items():
            np.testing.assert_allclose(theirs[head], scores, atol=within)


# It labels as the model does


def test_the_logits_are_those_of_torch(float32: Path, trained: Path, documents: tuple[Document, ...]) -> None:
    model, exported = Tagger.load(trained, "cpu"), OnnxLabeller.load(float32)
    close(model, exported, documents, 1e-4)
    assert list(exported.tag(documents)) == list(model.tag(documents))
    assert exported.temperatures == model.temperatures
    assert exported.thresholds == model.thresholds
    assert exported.reader.sizes() == model.reader.sizes()


def test_8_bits_are_near(int8: Path, trained: Path, documents: tuple[Document, ...]) -> None:
    model, exported = Tagger.load(trained, "cpu"), OnnxLabeller.load(int8)
    inputs = instances(model, documents)
    found = agreement(*(tags(model.reader, inputs, labeller.logits(inputs)) for labeller in (model, exported)))
    assert found.share > 0.97
    operations = [node.op_type for node in _graph(int8).node]
    # two layers of six products, of which a share is spared; heads and attention stay in float
    assert operations.count("MatMulIntegerToFloat") == 8


def test_with_8_bits_a_document_is_labelled_alike_alone_and_among_others(
    int8: Path, documents: tuple[Document, ...]
) -> None:
    labeller = OnnxLabeller.load(int8)
    together = list(labeller.tag(documents))
    assert [found for document in documents for found in labeller.tag([document])] == together
    assert list(labeller.tag(documents, batch_tokens=100)) == together


def test_an_encoder_of_one_segment_takes_its_trigger_between_markers(
    one_segment_encoder: Path, make_tagger: MakeTagger, corpus: Corpus, documents: tuple[Document, ...], tmp_path: Path
) -> None:
    model = make_tagger(encoder=one_segment_encoder, length=96, argument_length=128)
    model.save(tmp_path / "model")
    export(tmp_path / "model", tmp_path / "exported", corpus)
    exported = OnnxLabeller.load(tmp_path / "exported")
    assert "token_type_ids" not in {node.name for node in exported.session.get_inputs()}
    close(model, exported, documents, 1e-4)


def test_electra_is_exported_in_8_bits_too(
    encoder: Path, make_tagger: MakeTagger, corpus: Corpus, documents: tuple[Document, ...], tmp_path: Path
) -> None:
    shutil.copytree(encoder, tmp_path / "electra")
    words = len(AutoTokenizer.from_pretrained(encoder))
    shape: Any = {"embedding_size": 16, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = ElectraConfig(vocab_size=words, intermediate_size=64, max_position_embeddings=160, **shape)
    ElectraModel(config).save_pretrained(tmp_path / "electra")
    model = make_tagger((ENTITIES,), encoder=tmp_path / "electra", length=96, argument_length=96)
    model.save(tmp_path / "model")
    export(tmp_path / "model", tmp_path / "exported", corpus, quantize="int8", calibration=12, force=True)
    close(model, OnnxLabeller.load(tmp_path / "exported"), documents, 0.1)


def test_what_cannot_be_translated_is_said(trained: Path, corpus: Corpus, tmp_path: Path, monkeypatch: Any) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise NotImplementedError("aten::bincount\nmany lines")

    monkeypatch.setattr("torch.onnx.export", fail)
    with pytest.raises(ModelError, match=r"^bert: torch\.onnx\.export cannot translate it: aten::bincount$"):
        export(trained, tmp_path / "exported", corpus)
    assert not list(tmp_path.iterdir())


def test_a_graph_is_evaluated_like_the_model(float32: Path, trained: Path, corpus: Corpus, tmp_path: Path) -> None:
    reports = [
        evaluate(folder, corpus, tmp_path / folder.name, device="cpu", draws=0, examples=0)
        for folder in (trained, float32)
    ]
    for report in reports:
        assert report.pop("checkpoint")
        report.pop("calibration")  # scores that differ in their last digits
    assert reports[0]["scores"] == reports[1]["scores"]
    assert reports[0]["scores_gold_triggers"] == reports[1]["scores_gold_triggers"]
    assert reports[0]["errors"]["facets"] == reports[1]["errors"]["facets"]


# The gate


def test_what_was_lost_and_won_is_recorded(float32: Path, int8: Path) -> None:
    for folder, kind in ((float32, "none"), (int8, "int8")):
        record = json.loads((folder / "export.json").read_text(encoding="utf-8"))
        assert record["quantize"] == kind
        assert record["f1"]["before"].keys() == {"entities_f1", "triggers_f1", "arguments_f1"}
        assert record["words_per_second"].keys() == {"before", "after"}
        assert "khabar.predict" in (folder / "README.md").read_text(encoding="utf-8")
    assert json.loads((float32 / "export.json").read_text(encoding="utf-8"))["agreement"] == 1.0


@pytest.fixture
def spoiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every export labels nothing."""
    write = exporting.FORMATS["onnx"]

    def spoil(*arguments: Any) -> Labeller:
        found: Any = write(*arguments)
        spoiled: Labeller = replace(found, temperatures=dict.fromkeys(HEADS, 1e6), thresholds=dict.fromkeys(HEADS, 1.1))
        return spoiled

    monkeypatch.setitem(exporting.FORMATS, "onnx", spoil)


def test_an_export_that_labels_worse_is_not_written(
    spoiled: None, float32: Path, trained: Path, corpus: Corpus, tmp_path: Path
) -> None:
    with again(float32):
        with pytest.raises(ModelError, match=r"worse: not written: mean F1 falls by [\d.]+ points, at most 0\.5"):
            export(trained, tmp_path / "worse", corpus)
        assert not list(tmp_path.iterdir())
        record = export(trained, tmp_path / "worse", corpus, force=True)
    assert any("mean F1 falls" in fault for fault in record["forced"])
    assert load(tmp_path / "worse", backend="onnx").reader.heads == HEADS


def test_tags_that_differ_are_counted(documents: tuple[Document, ...], untrained: Tagger) -> None:
    inputs = instances(untrained, documents)
    logits = untrained.logits(inputs)
    ours = tags(untrained.reader, inputs, logits)
    assert agreement(ours, ours).share == 1.0
    theirs = {head: numbers.copy() for head, numbers in ours.items()}
    theirs[ARGUMENTS][0] += 1
    found = agreement(ours, theirs)
    assert found.words - found.same == 1
    assert found.labelled - found.same_labelled == 1


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "format": ({"format": "gguf"}, r"format 'gguf': expected one of \['onnx', 'transformers'\]"),
    "quantize": ({"quantize": "int4"}, "quantize 'int4': expected one of"),
    "nothing to calibrate on": ({"quantize": "int8", "calibration": 0}, "at least one article to calibrate on, got 0"),
    "no such split": ({"split": "real"}, "no split 'real'"),
}


@pytest.mark.parametrize("case", BAD)
def test_an_export_that_cannot_be_is_refused_at_the_door(
    case: str, trained: Path, corpus: Corpus, tmp_path: Path
) -> None:
    arguments, message = BAD[case]
    with pytest.raises(DataError, match=message):
        export(trained, tmp_path / "exported", corpus, **arguments)
    assert not list(tmp_path.iterdir())


def test_nothing_is_replaced_unasked(trained: Path, float32: Path, corpus: Corpus) -> None:
    for folder, overwrite in ((float32, False), (trained, True)):
        with pytest.raises(DataError, match="is there already"):
            export(trained, folder, corpus, overwrite=overwrite)


# Loading


def test_the_backend_is_the_one_whose_weights_are_there(trained: Path, float32: Path) -> None:
    assert isinstance(load(trained, "cpu"), Tagger)
    assert isinstance(load(float32), OnnxLabeller)
    with pytest.raises(ModelError, match=r"no model\.onnx.*python scripts/export\.py checkpoint="):
        load(trained, backend="onnx")
    with pytest.raises(ModelError, match=r"no model\.safetensors.*the folder that it was exported from"):
        load(float32, backend="torch")
    with pytest.raises(ModelError, match="computes on the processor"):
        load(float32, device="cuda")
    with pytest.raises(ModelError, match="bf16"):
        load(float32, precision="bf16")
    with pytest.raises(DataError, match="backend 'tvm': expected one of"):
        load(float32, backend="tvm")


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no weights": (lambda folder: (folder / "model.onnx").unlink(), "the folder is not whole"),
    "no graph": (lambda folder: (folder / "model.onnx").write_bytes(b"no graph"), "ONNX Runtime cannot run it"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "cannot be honoured"),
    "bad tokenizer": (lambda folder: (folder / "tokenizer.json").write_text("{}"), "cannot be honoured"),
    "other heads": (lambda folder: shorten(folder), r"model\.onnx answers"),
}


def shorten(folder: Path) -> None:
    file = folder / "khabar.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    del record["heads"]["clitics"]
    file.write_text(json.dumps(record), encoding="utf-8")


@pytest.mark.parametrize("case", SPOILED)
def test_a_folder_whose_parts_do_not_fit_is_refused(case: str, float32: Path, tmp_path: Path) -> None:
    spoil, message = SPOILED[case]
    folder = shutil.copytree(float32, tmp_path / "model")
    spoil(folder)
    with pytest.raises(ModelError, match=message):
        load(folder)


def test_without_onnx_runtime_the_extra_is_named(float32: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DataError, match=r"pip install 'khabar\[onnx\]'"):
        load(float32)


def test_without_onnx_the_extra_is_named(
    trained: Path, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(DataError, match=r"pip install 'khabar\[export\]'"):
        export(trained, tmp_path / "exported", corpus)


def test_an_exported_folder_labels_where_there_is_no_torch(
    float32: Path, trained: Path, documents: tuple[Document, ...], tmp_path: Path
) -> None:
    jsonl.write(tmp_path / "in.jsonl", documents)
    code = (
        "import sys; sys.modules.update(torch=None, transformers=None); from khabar.predict import main; main(); "
        "assert sys.modules['torch'] is None"
    )
    arguments = [str(tmp_path / "in.jsonl"), "--model", str(float32), "--output", str(tmp_path / "out.jsonl")]
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments], env={**os.environ, "PYTHONUTF8": "1"}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert list(jsonl.read(tmp_path / "out.jsonl")) == list(Tagger.load(trained, "cpu").tag(documents))


# The tokenizer without transformers


@pytest.mark.parametrize("fixture", ["encoder", "one_segment_encoder"])
def test_the_tokenizer_cuts_as_that_of_transformers_does(
    fixture: str, request: pytest.FixtureRequest, documents: tuple[Document, ...]
) -> None:
    folder = request.getfixturevalue(fixture)
    ours, theirs = Tokenizer.load(folder), AutoTokenizer.from_pretrained(folder)
    forms = [word for document in documents for word in document.text.split()]
    assert ours(forms)["input_ids"] == theirs(forms, add_special_tokens=False)["input_ids"]
    assert [getattr(ours, f"{role}_id") for role in SPECIAL] == [getattr(theirs, f"{role}_id") for role in SPECIAL]
    assert ours.get_vocab() == theirs.get_vocab()
    assert len(ours) == len(theirs)
    assert ours.num_special_tokens_to_add(pair=True) == theirs.num_special_tokens_to_add(pair=True)


def _graph(folder: Path) -> Any:
    import onnx

    return onnx.load(folder / "model.onnx").graph
