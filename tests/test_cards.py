"""«بطاقة النموذج تقول ما يعرفه وما يجهله»: a card says what its model learned, how well, and what for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from khabar import corpus as corpora
from khabar.cards import card, front_matter, intervals, metadata, origin, with_front_matter
from khabar.corpus import Corpus
from khabar.document import DataError, Document
from khabar.features import HEADS
from khabar.metrics import score
from khabar.ontology import Ontology
from khabar.tagger import Tagger


@pytest.fixture(scope="module")
def record(trained: Path) -> dict[str, Any]:
    """What the run keeps of itself."""
    found: dict[str, Any] = json.loads((trained.parent / "run.json").read_text(encoding="utf-8"))
    return found


# What the hub reads


def test_the_hub_reads_the_block_at_the_head(trained: Path, record: dict[str, Any], corpus: Corpus) -> None:
    data = ModelCard.load(trained / "README.md").data
    assert data.language == ["ar"]
    assert data.license == "unknown"
    assert data.pipeline_tag == "token-classification"
    assert {"khabar", "named-entity-recognition", "event-extraction"} <= set(data.tags)
    results = {(one.task_name, one.metric_type): one for one in data.eval_results}
    f1 = results["entities: span and type", "f1"]
    assert f1.metric_value == round(record["dev"]["entities"]["micro"]["f1"], 4)
    assert (f1.dataset_name, f1.dataset_split, f1.dataset_revision) == (corpus.name, "dev", corpus.hash[:16])
    assert len(results) == 3 * 3  # entities, triggers, arguments; precision, recall, F1


def test_a_block_is_read_as_it_was_written(tmp_path: Path) -> None:
    block = metadata(HEADS, {"base_model": "قسم/نموذج", "license": "mit"})
    (tmp_path / "README.md").write_text(with_front_matter(block, "# نموذج\n\n---\n"), encoding="utf-8")
    assert front_matter(tmp_path / "README.md") == block


@pytest.mark.parametrize("text", ["", "# نموذج\n", "text\n---\na: 1\n---\n", "---\na: 1\n"])
def test_a_card_may_have_no_block(text: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    assert front_matter(tmp_path / "README.md") == {}
    assert front_matter(tmp_path / "none.md") == {}


@pytest.mark.parametrize(("block", "message"), [("a: [", "is not YAML"), ("- a", "expected keys and values")])
def test_a_block_that_is_none_is_refused(block: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"---\n{block}\n---\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        front_matter(tmp_path / "README.md")


# Where a model comes from


def test_the_origin_of_an_encoder_is_on_its_own_card(tmp_path: Path) -> None:
    assert origin("compact") == {"base_model": "intfloat/multilingual-e5-small", "license": "mit"}
    assert origin("aubmindlab/bert-base-arabertv02") == {
        "base_model": "aubmindlab/bert-base-arabertv02",
        "license": "unknown",
    }
    assert origin(str(tmp_path)) == origin(None) == {"license": "unknown"}
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\nbase_model: a/b\n---\n", encoding="utf-8")
    assert origin(str(tmp_path)) == {"base_model": "a/b", "license": "apache-2.0"}


# What people read


def test_data_are_named_with_use_and_hash(trained: Path, corpus: Corpus) -> None:
    text = (trained / "README.md").read_text(encoding="utf-8")
    for split, use in (
        ("train", "learned"),
        ("dev", "epoch, temperatures and thresholds chosen"),
        ("test", "not read"),
    ):
        found = corpus.manifest["splits"][split]
        assert f"| أخبار | {split} | {use} | {found['documents']} | " in text
        assert f"`{found['sha256'][:16]}`" in text
    assert corpus.hash[:16] in text


def test_scores_come_with_intervals(trained: Path, record: dict[str, Any]) -> None:
    text = (trained / "README.md").read_text(encoding="utf-8")
    for kind, (low, high) in record["dev_intervals"].items():
        micro = record["dev"][kind]["micro"]
        assert low <= micro["f1"] <= high
        assert f"| {micro['f1']:.3f} | {low:.3f} to {high:.3f} | {micro['gold']} |" in text


def test_an_interval_is_that_of_the_documents(corpus: Corpus, trained: Path) -> None:
    gold = corpus.split("dev")
    predicted = list(Tagger.load(trained, "cpu").tag(gold))
    found = intervals(gold, predicted)
    assert found.keys() == score(gold, predicted).to_json().keys() - {"documents"}
    assert intervals(gold, gold) == {kind: [1.0, 1.0] for kind in found}
    assert intervals([], []) == {}


def test_licences_of_code_encoder_and_data_are_named(
    trained: Path, record: dict[str, Any], ontology: Ontology, documents: tuple[Document, ...], tmp_path: Path
) -> None:
    corpora.write(tmp_path, "مرخّصة", ontology, {"train": documents}, licence="cc-by-4.0")
    named = Corpus(tmp_path)
    assert named.licence == "cc-by-4.0"
    run = {**record, "config": {"model": {"encoder": "compact"}, "limit": 3, "peft": {"r": 8, "alpha": 16}}, "dev": {}}
    reader = Tagger.load(trained, "cpu").reader
    text = card(run, [named], reader)
    for row in (
        "| khabar, the code | Apache-2.0 |",
        "| the encoder (intfloat/multilingual-e5-small) | mit |",
        "| the corpus مرخّصة | cc-by-4.0 |",
        "the first 3 documents",
        "low-rank adapters (r = 8, alpha = 16)",
        "No split was held out",
    ):
        assert row in text
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    block = front_matter(tmp_path / "README.md")
    assert (block["license"], block["base_model"]) == ("mit", "intfloat/multilingual-e5-small")
    assert "model-index" not in block


def test_use_and_limits_are_of_the_layers_that_are_there(trained: Path, record: dict[str, Any], corpus: Corpus) -> None:
    text = (trained / "README.md").read_text(encoding="utf-8")
    assert "## Intended use" in text
    assert "events (Attack, Die, Meet)" in text
    assert "An argument is looked for in the 128 subwords" in text
    reader = Tagger.load(trained, "cpu").reader
    reader.heads = ("entities",)
    entities = card(record, [corpus], reader)
    assert "events (" not in entities
    assert "Mentions are whole written words" in entities
    assert "An argument" not in entities
