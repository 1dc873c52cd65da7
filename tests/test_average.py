"""«خير الأمور أوسطها»: the mean of models of one ancestor is a model like them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from khabar import corpus as corpora
from khabar.average import average
from khabar.contract import ModelError
from khabar.corpus import Corpus
from khabar.document import DataError, Document, Mention
from khabar.features import HEADS
from khabar.ontology import Ontology
from khabar.push import contents
from khabar.tagger import Tagger

MakeTagger = Callable[..., Tagger]


@pytest.fixture
def dev(tmp_path: Path, ontology: Ontology, documents: tuple[Document, ...]) -> Corpus:
    corpora.write(tmp_path / "corpus", "أخبار", ontology, {"dev": list(documents)})
    return Corpus(tmp_path / "corpus")


@pytest.fixture
def members(tmp_path: Path, make_tagger: MakeTagger) -> list[Path]:
    folders = [tmp_path / f"seed-{seed}" for seed in (1, 2, 3)]
    for seed, folder in enumerate(folders):
        member = make_tagger()
        torch.manual_seed(seed)  # other heads on one encoder
        for parameter in member.model.heads.parameters():
            torch.nn.init.normal_(parameter)
        member.save(folder)
    return folders


def test_every_weight_is_the_mean_of_the_members(members: list[Path], dev: Corpus, tmp_path: Path) -> None:
    mean = load_file(average(members, dev, tmp_path / "mean") / "model.safetensors")
    weights = [load_file(folder / "model.safetensors") for folder in members]
    assert not torch.equal(weights[0]["heads.entities.weight"], weights[1]["heads.entities.weight"])
    for name, tensor in mean.items():
        torch.testing.assert_close(tensor, torch.stack([other[name] for other in weights]).mean(dim=0))


def test_the_mean_of_one_model_and_itself_labels_as_it_does(
    trained: Path, dev: Corpus, documents: tuple[Document, ...], tmp_path: Path
) -> None:
    again = Tagger.load(average([trained, trained], dev, tmp_path / "mean"))
    assert list(again.tag(documents)) == list(Tagger.load(trained, "cpu").tag(documents))


def test_the_score_on_dev_is_kept_beside_those_of_the_members(members: list[Path], dev: Corpus, tmp_path: Path) -> None:
    folder = average(members, dev, tmp_path / "mean", half=True)
    mean = Tagger.load(folder)
    assert mean.meta["mean of"] == {str(folder): {} for folder in members}
    assert {"entities", "TC", "AC"} <= mean.meta["dev"].keys()
    assert "The mean of the weights of 3 models" in (folder / "README.md").read_text(encoding="utf-8")
    assert contents(folder)  # and may be sent to a hub
    assert set(mean.temperatures) == set(HEADS)
    assert {tensor.dtype for tensor in load_file(tmp_path / "mean" / "model.safetensors").values()} == {torch.float16}


def test_models_of_other_contracts_have_no_mean(
    members: list[Path], dev: Corpus, make_tagger: MakeTagger, tmp_path: Path
) -> None:
    make_tagger(length=120).save(tmp_path / "other")
    with pytest.raises(ModelError, match=r"other: not of one contract .*seed-1: they differ in \['reader'\]"):
        average([members[0], tmp_path / "other"], dev, tmp_path / "mean")
    with pytest.raises(DataError, match="at least two models"):
        average(members[:1], dev, tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


def test_models_of_other_types_have_no_mean(
    members: list[Path], dev: Corpus, ontology: Ontology, encoder: Path, tmp_path: Path
) -> None:
    turned = replace(ontology, entities=dict(reversed(list(ontology.entities.items()))))
    Tagger.create(str(encoder), turned, HEADS).save(tmp_path / "turned")
    with pytest.raises(ModelError, match=r"turned: not of one contract .*: they differ in \['ontology'\]"):
        average([members[0], tmp_path / "turned"], dev, tmp_path / "mean")


def test_documents_of_other_types_calibrate_nothing(members: list[Path], ontology: Ontology, tmp_path: Path) -> None:
    other = Document("خبر", "وصل الوفد", (Mention(5, 9, "TEAM"),))
    corpora.write(tmp_path / "other", "رياضة", replace(ontology, entities={"TEAM": "فريق"}), {"dev": [other]})
    with pytest.raises(DataError, match="entity type 'TEAM' at 5 is not in ontology"):
        average(members, Corpus(tmp_path / "other"), tmp_path / "mean")
