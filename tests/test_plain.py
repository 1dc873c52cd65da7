"""«النموذج نفسه في ثوب آخر»: a head that is written for transformers gives the same tags in its pipeline."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    ElectraConfig,
    ElectraModel,
    ModernBertConfig,
    ModernBertModel,
    pipeline,
)

from khabar import bio
from khabar.arabic import preprocess
from khabar.cards import front_matter
from khabar.contract import ModelError, read
from khabar.corpus import Corpus
from khabar.document import DataError, Document
from khabar.export import export
from khabar.features import ARGUMENTS, ENTITIES, TRIGGERS
from khabar.push import contents
from khabar.tagger import Tagger

MakeTagger = Callable[..., Tagger]


def own_tags(tagger: Tagger, head: str, document: Document) -> list[str]:
    """The best tag of each word of a short document, every word by itself."""
    reader = tagger.reader
    (window,) = reader.text_pass(reader.read(document))
    (logits,) = tagger.logits([window])
    names = bio.tag_names(reader.labels(head))
    return [names[number] for number in logits[head].argmax(axis=1)]


def piped_tags(folder: Path, preprocessing: str, document: Document) -> list[str]:
    """The tag that the pipeline gives to the first subword of each word of the preprocessed text."""
    tag: Any = pipeline("token-classification", model=str(folder), device="cpu", ignore_labels=[])
    text = preprocess(document.text, preprocessing).text
    starts = {row["start"]: row["entity"] for row in reversed(tag(text))}
    found, place = [], 0
    for word in text.split():
        found.append(starts[text.index(word, place)])
        place = text.index(word, place) + len(word)
    return found


def carded_tags(folder: Path, preprocessing: str, document: Document) -> list[str]:
    """What the code on the card says of the preprocessed text."""
    _, code = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code.replace("FOLDER", str(folder)), names)
    found: list[str] = names["tags"](preprocess(document.text, preprocessing).text)
    return found


@pytest.fixture(scope="module", params=[ENTITIES, TRIGGERS])
def plain(request: Any, trained: Path, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A head of the trained model, written for transformers."""
    folder = tmp_path_factory.mktemp("plain") / request.param
    export(trained, folder, corpus, format="transformers", head=request.param)
    return request.param, folder


def test_the_pipeline_gives_the_same_tags(
    plain: tuple[str, Path], trained: Path, documents: tuple[Document, ...]
) -> None:
    head, folder = plain
    tagger = Tagger.load(trained, "cpu")
    found = [piped_tags(folder, tagger.reader.preprocessing, document) for document in documents]
    assert found == [own_tags(tagger, head, document) for document in documents]
    assert {tag[0] for tags in found for tag in tags} >= {"O", "B"}
    assert [carded_tags(folder, tagger.reader.preprocessing, document) for document in documents] == found


def test_config_names_the_tags_and_all_is_safetensors(plain: tuple[str, Path], trained: Path) -> None:
    head, folder = plain
    network: Any = AutoModelForTokenClassification.from_pretrained(folder)
    reader = Tagger.load(trained, "cpu").reader
    assert network.config.id2label == dict(enumerate(bio.tag_names(reader.labels(head))))
    assert network.config.label2id == {name: number for number, name in network.config.id2label.items()}
    assert network.config.architectures == ["BertForTokenClassification"]
    assert AutoTokenizer.from_pretrained(folder).model_max_length == 160
    assert {path.name for path in folder.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert not list(folder.glob("*.bin"))
    assert contents(folder)  # and may be sent to a hub
    with pytest.raises(ModelError, match="not a folder that khabar saved"):
        read(folder)


def test_the_card_says_what_is_lost(plain: tuple[str, Path]) -> None:
    head, folder = plain
    record = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    assert (record["format"], record["head"], record["agreement"]) == ("transformers", head, 1.0)
    assert record["f1"].keys() == {"before", "after", "khabar"}
    assert record["f1"]["before"] == record["f1"]["after"]
    assert record["f1"]["khabar"].keys() == record["f1"]["after"].keys() == {f"{head}_f1"}
    text = (folder / "README.md").read_text(encoding="utf-8")
    for said in ("**Preprocessing** (`arabertv02`)", "**Decoding**", "**Words**", "cut off behind 160", "**Clitics**"):
        assert said in text
    assert ("**Events** are not in this folder" in text) == (head == ENTITIES)
    assert front_matter(folder / "README.md")["library_name"] == "transformers"


def electra(folder: Path, encoder: Path) -> Path:
    """An untrained ELECTRA, which projects its embeddings."""
    shutil.copytree(encoder, folder)
    words = len(AutoTokenizer.from_pretrained(encoder))
    shape: Any = {"embedding_size": 16, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = ElectraConfig(vocab_size=words, intermediate_size=64, max_position_embeddings=160, **shape)
    ElectraModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["roberta", "electra"])
def test_other_encoders_are_written_too(
    kind: str,
    encoder: Path,
    one_segment_encoder: Path,
    make_tagger: MakeTagger,
    corpus: Corpus,
    documents: tuple[Document, ...],
    tmp_path: Path,
) -> None:
    source = one_segment_encoder if kind == "roberta" else electra(tmp_path / "electra", encoder)
    heads = (ENTITIES, TRIGGERS, ARGUMENTS)  # whose markers are in the vocabulary of an encoder of one segment
    model = make_tagger(heads, encoder=source, length=96, argument_length=128)
    model.save(tmp_path / "model")
    record = export(tmp_path / "model", tmp_path / "plain", corpus, format="transformers", head=ENTITIES)
    assert record["agreement"] == 1.0
    for document in documents[:6]:
        own = own_tags(model, ENTITIES, document)
        assert carded_tags(tmp_path / "plain", "arabertv02", document) == own
        if kind == "electra":  # of RoBERTa's unigrams a lone word mark may come first, which the card says
            assert piped_tags(tmp_path / "plain", "arabertv02", document) == own


def test_a_head_of_another_shape_is_refused(
    encoder: Path, make_tagger: MakeTagger, corpus: Corpus, tmp_path: Path
) -> None:
    shutil.copytree(encoder, tmp_path / "modern")
    words = len(AutoTokenizer.from_pretrained(encoder))
    shape: Any = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    special: Any = {f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "cls", "sep")}
    ModernBertModel(ModernBertConfig(vocab_size=words, **shape, **special)).save_pretrained(tmp_path / "modern")
    make_tagger((ENTITIES,), encoder=tmp_path / "modern", length=96, argument_length=96).save(tmp_path / "model")
    with pytest.raises(ModelError, match=r"modernbert: ModernBertForTokenClassification has a head of another shape"):
        export(tmp_path / "model", tmp_path / "plain", corpus, format="transformers")
    assert not (tmp_path / "plain").exists()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no head": ({}, r"say which: expected one of \['entities', 'triggers'\]"),
    "a head that cannot stand alone": ({"head": ARGUMENTS}, "head 'arguments': expected one of"),
    "quantize": ({"head": ENTITIES, "quantize": "int8"}, "quantize=int8 is of format=onnx"),
    "head of onnx": ({"head": ENTITIES, "format": "onnx"}, "head=entities is of format=transformers"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_written_is_refused(case: str, trained: Path, corpus: Corpus, tmp_path: Path) -> None:
    arguments, message = BAD[case]
    with pytest.raises(DataError, match=message):
        export(trained, tmp_path / "plain", corpus, **{"format": "transformers", **arguments})
    assert not list(tmp_path.iterdir())
