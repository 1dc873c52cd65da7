"""«وقع هجوم أمس.»: a run learns it, says how well, is not repeated, and goes on where it was interrupted."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainingArguments

from khabar import corpus as corpora
from khabar.corpus import Corpus
from khabar.document import DataError, Document, Mention
from khabar.encoder import bf16_is_native
from khabar.features import HEADS
from khabar.metrics import score
from khabar.ontology import Ontology
from khabar.record import surroundings
from khabar.tagger import Tagger
from khabar.train import train
from khabar.trainer import DocumentTrainer, parameter_groups

ShortRun = Callable[..., Callable[..., TrainingArguments]]
Run = Callable[..., Path]
ROOT = Path(__file__).parents[1]


@pytest.fixture
def run(encoder: Path, corpus: Corpus, short_run: ShortRun, tmp_path: Path) -> Run:
    """Train for two epochs in ``tmp_path/run``; any parameter may be given."""

    def start(**changes: Any) -> Path:
        parameters: dict[str, Any] = {
            "model": partial(Tagger.create, str(encoder)),
            "task": {"heads": list(HEADS), "length": 96, "argument_length": 128},
            "corpus": corpus,
            "trainer": short_run(),
            "output": tmp_path / "run",
            "precision": "float32",
        }
        return train(**(parameters | changes))

    return start


@pytest.fixture(scope="module")
def record(trained: Path) -> dict[str, Any]:
    """What the run that learned by heart says of itself."""
    found: dict[str, Any] = json.loads((trained.parent / "run.json").read_text(encoding="utf-8"))
    return found


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


# Learning


def test_the_loss_falls_and_the_corpus_is_learned_by_heart(record: dict[str, Any]) -> None:
    losses = [row["loss"] for row in record["history"] if "loss" in row]
    assert losses[-1] < losses[0] / 5
    for kind in ("entities", "TC", "AC"):
        assert record["dev"][kind]["micro"]["f1"] > 0.5


def test_the_trained_folder_loads_and_scores_as_it_says(trained: Path, record: dict[str, Any], corpus: Corpus) -> None:
    tagger = Tagger.load(trained, "cpu")
    assert tagger.temperatures == record["temperatures"]
    assert score(corpus.split("dev"), tagger.tag(corpus.split("dev"))).to_json() == record["dev"]
    assert tagger.meta["dev"]["entities"] == round(record["dev"]["entities"]["micro"]["f1"], 4)


def test_each_head_has_its_temperature(record: dict[str, Any]) -> None:
    assert set(record["temperatures"]) == set(HEADS)
    assert all(0.05 <= value <= 20 for value in record["temperatures"].values())
    assert len(set(record["temperatures"].values())) == len(HEADS)


# What is kept


def test_the_run_says_what_it_takes_to_repeat_it(record: dict[str, Any], trained: Path, corpus: Corpus) -> None:
    assert record["config"] == {"epochs": 30}
    assert record["seed"] == 1
    assert record["data"] == {str(corpus.path): corpus.hash}
    assert set(record["versions"]) >= {"khabar", "torch", "transformers"}
    assert record["versions"]["torch"] == torch.__version__
    assert record["precision"] == "float32"
    assert record["train"]["documents"] == 12
    assert record["train"]["inputs"] == 12 + 12  # windows and triggers
    assert record["epochs"] == 30
    assert len([row for row in record["history"] if "eval_f1" in row]) == 30
    assert read(trained.parent / "settings.json") == {key: record[key] for key in ("config", "data", "types", "seed")}


def test_the_run_leaves_logs_and_no_checkpoints(trained: Path) -> None:
    assert any((trained.parent / "tensorboard").rglob("events.out.tfevents*"))
    assert not (trained.parent / "checkpoints").exists()


def test_the_model_card_says_what_it_is_and_how_good(trained: Path, record: dict[str, Any], corpus: Corpus) -> None:
    card = (trained / "README.md").read_text(encoding="utf-8")
    assert "\n# أخبار: entities, triggers, arguments, clitics\n" in card
    assert corpus.hash[:16] in card
    assert f"| {record['dev']['entities']['micro']['f1']:.3f} |" in card
    assert "12 documents" in card
    assert "python -m khabar.predict" in card


def test_git_state_is_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert surroundings()["git"] == {}


# Again


def test_a_finished_run_is_not_repeated(run: Run) -> None:
    folder = run(trainer=epochs(1))
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert run(model=pytest.fail) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def epochs(number: int, **fields: Any) -> Callable[..., TrainingArguments]:
    return partial(
        TrainingArguments,
        num_train_epochs=number,
        per_device_train_batch_size=8,
        report_to=[],
        disable_tqdm=True,
        logging_steps=1,
        **fields,
    )


def test_a_run_of_another_configuration_is_refused_unless_it_may_be_replaced(run: Run, tmp_path: Path) -> None:
    run(record={"learning_rate": 1, "same": 0}, trainer=epochs(1))
    with pytest.raises(DataError, match=r"other \['learning_rate'\].*overwrite=true"):
        run(record={"learning_rate": 2, "same": 0})
    with pytest.raises(DataError, match="other data, types or seed"):
        run(record={"learning_rate": 1, "same": 0}, seed=2)
    (tmp_path / "run" / "model" / "stale").write_text("")
    run(record={"learning_rate": 2, "same": 0}, trainer=epochs(1), overwrite=True)
    assert read(tmp_path / "run" / "run.json")["config"]["learning_rate"] == 2
    assert not (tmp_path / "run" / "model" / "stale").exists()


def test_an_interrupted_run_goes_on_from_its_checkpoint(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = run(output=tmp_path / "whole", trainer=epochs(4))
    evaluate = DocumentTrainer.evaluate
    monkeypatch.setattr(DocumentTrainer, "evaluate", interrupted_in_epoch(3, evaluate))
    with pytest.raises(KeyboardInterrupt):
        run(trainer=epochs(4))
    assert not (tmp_path / "run" / "run.json").exists()
    # What was being written when the machine went down is no checkpoint.
    (tmp_path / "run" / "checkpoints" / "checkpoint-999").mkdir()

    seen: list[float] = []
    monkeypatch.setattr(DocumentTrainer, "evaluate", counting(seen, evaluate))
    caplog.set_level(logging.INFO)
    folder = run(trainer=epochs(4))
    assert seen == [3, 4]  # two epochs were left
    assert any("resuming from" in message for message in caplog.messages)
    history = read(tmp_path / "run" / "run.json")["history"]
    assert [row["epoch"] for row in history if "eval_f1" in row] == [1, 2, 3, 4]
    weights, expected = load_file(folder / "model.safetensors"), load_file(whole / "model.safetensors")
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor, msg=name)


def interrupted_in_epoch(number: int, evaluate: Callable[..., Any]) -> Callable[..., Any]:
    def interrupt(self: DocumentTrainer, *arguments: Any, **names: Any) -> Any:
        if self.state.epoch == number:
            raise KeyboardInterrupt
        return evaluate(self, *arguments, **names)

    return interrupt


def counting(seen: list[float], evaluate: Callable[..., Any]) -> Callable[..., Any]:
    def count(self: DocumentTrainer, *arguments: Any, **names: Any) -> Any:
        seen.append(self.state.epoch or 0)
        return evaluate(self, *arguments, **names)

    return count


def test_equal_seeds_give_equal_models(run: Run, tmp_path: Path) -> None:
    first, again, other = (
        load_file(run(output=tmp_path / name, seed=seed, trainer=epochs(1)) / "model.safetensors")
        for name, seed in (("a", 5), ("b", 5), ("c", 6))
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


# Choices


def test_a_run_stops_when_dev_no_longer_improves_and_keeps_the_best_epoch(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.1, 0.9, 0.5, 0.4, 0.3, 0.2])
    weights: list[torch.Tensor] = []

    def evaluate(self: DocumentTrainer, **_: Any) -> dict[str, float]:
        values = {"eval_f1": next(scores)}
        weights.append(self.tagger.model.state_dict()["heads.entities.weight"].clone())
        self.log(values)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, values)
        return values

    monkeypatch.setattr(DocumentTrainer, "evaluate", evaluate)
    folder = run(trainer=epochs(6), patience=2)
    assert read(tmp_path / "run" / "run.json")["epochs"] == 4
    assert torch.equal(load_file(folder / "model.safetensors")["heads.entities.weight"], weights[1])


def test_without_dev_the_last_epoch_is_kept(
    run: Run, tmp_path: Path, ontology: Ontology, documents: tuple[Document, ...]
) -> None:
    corpora.write(tmp_path / "train-only", "أخبار", ontology, {"train": documents[:3]})
    folder = run(corpus=Corpus(tmp_path / "train-only"), trainer=epochs(2))
    record = read(tmp_path / "run" / "run.json")
    assert (record["dev"], record["temperatures"], record["epochs"]) == ({}, {}, 2)
    assert Tagger.load(folder, "cpu").temperatures == {}


def test_a_limit_takes_the_first_documents(run: Run, tmp_path: Path, corpus: Corpus) -> None:
    run(limit=2, trainer=epochs(1))
    first = corpus.split("train")[:2]
    assert read(tmp_path / "run" / "run.json")["train"]["documents"] == len(first) == 2
    with pytest.raises(DataError, match="limit=0: expected at least 1"):
        run(limit=0, output=tmp_path / "other")


def test_batches_may_be_measured_in_subwords(run: Run, tmp_path: Path, record: dict[str, Any]) -> None:
    run(batch_tokens=256, trainer=epochs(1))
    history = [row for row in read(tmp_path / "run" / "run.json")["history"] if "loss" in row]
    assert len(history) > record["train"]["subwords"] / 256  # logged at every step
    with pytest.raises(DataError, match="batch_tokens=0: expected at least 1"):
        run(batch_tokens=0, output=tmp_path / "other")


def test_windows_may_leave_out_in_training_what_is_read_again_or_learn_from_it(
    run: Run, tmp_path: Path, ontology: Ontology, documents: tuple[Document, ...]
) -> None:
    text = "".join(f"{document.text}\n" for document in documents)
    corpora.write(tmp_path / "long", "طويل", ontology, {"train": [Document("طويل", text, ())]})
    task = {"heads": ["entities"], "length": 96}
    settings: dict[str, dict[str, Any]] = {"read": {}, "left": {"train_context": 0}, "learned": {"learn_context": True}}
    found = {}
    for name, keys in settings.items():
        folder = run(corpus=Corpus(tmp_path / "long"), task=task, output=tmp_path / name, **keys)
        reader = Tagger.load(folder, "cpu").reader
        assert (reader.context, reader.learn_context) == (32, False)  # labelling reads it, and labels a word once
        found[name] = read(tmp_path / name / "run.json")["train"]
    assert found["left"]["words"] == found["read"]["words"] < found["learned"]["words"]
    assert found["left"]["subwords"] < found["read"]["subwords"] == found["learned"]["subwords"]
    with pytest.raises(DataError, match="learn_context=true: these windows read no context"):
        run(learn_context=True, train_context=0, output=tmp_path / "none")


def test_windows_of_text_may_be_read_more_often_than_triggers(run: Run, tmp_path: Path, record: dict[str, Any]) -> None:
    run(text_repeats=3, trainer=epochs(1))
    inputs = read(tmp_path / "run" / "run.json")["train"]["inputs"]
    assert inputs > record["train"]["inputs"]
    assert (inputs - record["train"]["inputs"]) % 2 == 0


def test_corpora_with_different_layers_are_learned_in_one_run(
    run: Run, tmp_path: Path, ontology: Ontology, documents: tuple[Document, ...]
) -> None:
    names = Ontology("أسماء", {**ontology.entities, "LAW": "قانون"})
    acts = Ontology("وقائع", {}, ontology.events)
    entities = [Document(f"e/{d.id}", d.text, d.entities) for d in documents if d.entities is not None]
    events = [Document(f"v/{d.id}", d.text, None, d.events) for d in documents if d.events is not None]
    corpora.write(tmp_path / "names", "أسماء", names, {"train": entities})
    corpora.write(tmp_path / "acts", "وقائع", acts, {"train": events, "dev": events})
    folder = run(
        corpus=Corpus(tmp_path / "acts"),
        also=[Corpus(tmp_path / "names")],
        trainer=epochs(20),
        learning_rate=5e-3,
        head_learning_rate=5e-3,
        patience=20,
    )
    tagger = Tagger.load(folder, "cpu")
    assert set(tagger.reader.ontology.entities) == {*ontology.entities, "LAW"}
    assert tagger.reader.ontology.events == ontology.events
    found = score(entities, tagger.tag(entities)).units["entities"].micro
    assert found.f1 > 0.5  # of the second corpus
    record = read(tmp_path / "run" / "run.json")
    assert record["dev"]["TC"]["micro"]["f1"] > 0.5  # of the first
    assert set(record["data"]) == {str(tmp_path / "acts"), str(tmp_path / "names")}
    assert record["train"]["documents"] == len(entities) + len(events)


def test_ontologies_that_contradict_each_other_are_refused(
    run: Run, tmp_path: Path, ontology: Ontology, documents: tuple[Document, ...]
) -> None:
    other = Ontology.from_json("أخرى", {}, {"Meet": {"gloss": "لقاء", "roles": ["Person"]}})
    corpora.write(tmp_path / "other", "أخرى", other, {"train": [Document("خبر", "لا شيء", None, ())]})
    with pytest.raises(DataError, match="'أخبار' and 'أخرى' differ in event type 'Meet'"):
        run(also=[Corpus(tmp_path / "other")])


def test_types_that_the_given_ontology_lacks_are_refused(run: Run) -> None:
    with pytest.raises(DataError, match="is not in ontology 'ضيقة'"):
        run(ontology=Ontology.from_json("ضيقة", {"LAW": "قانون"}))


def test_a_train_split_without_words_is_refused(run: Run, tmp_path: Path, ontology: Ontology) -> None:
    corpora.write(tmp_path / "empty", "فارغة", ontology, {"train": [Document("خبر", " ", ())]})
    with pytest.raises(DataError, match="holds no words"):
        run(corpus=Corpus(tmp_path / "empty"))


def test_gold_that_cannot_be_expressed_is_counted(
    run: Run, tmp_path: Path, ontology: Ontology, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    document = Document("خبر", "قال الوزير ً 🔴", (Mention(5, 7, "PER"), Mention(0, 3, "ORG")), ())
    corpora.write(tmp_path / "odd", "غريبة", ontology, {"train": [document]})
    run(corpus=Corpus(tmp_path / "odd"), trainer=epochs(1))
    levels = {record.getMessage(): record.levelname for record in caplog.records}
    assert levels["gold entities: 2"] == "INFO"
    assert levels["entities that no tags can express: 1"] == "WARNING"
    assert levels["words without a readable form: 2"] == "WARNING"


def test_a_run_that_was_never_begun_may_be_given_another_configuration(run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not in ontology"):
        run(record={"types": "few"}, ontology=Ontology.from_json("ضيقة", {"LAW": "قانون"}))
    run(record={"types": "all"}, trainer=epochs(1))
    assert read(tmp_path / "run" / "settings.json")["config"] == {"types": "all"}


@pytest.mark.skipif(find_spec("deepspeed") is not None, reason="khabar[deepspeed] is installed")
def test_a_trainer_whose_package_is_missing_names_the_extra(run: Run) -> None:
    with pytest.raises(DataError, match=r"khabar\[deepspeed\]"):
        run(trainer=epochs(1, deepspeed={"zero_optimization": {"stage": 2}}))


def test_frozen_layers_stay_as_they_are(run: Run, encoder: Path) -> None:
    folder = run(model=partial(Tagger.create, str(encoder), frozen=1), trainer=epochs(1))
    before, after = load_file(encoder / "model.safetensors"), load_file(folder / "model.safetensors")
    trained = {name.removeprefix("encoder."): tensor for name, tensor in after.items()}
    kept = {name for name in before if name in trained and torch.equal(before[name], trained[name])}
    assert {name.split(".")[0] for name in kept} == {"embeddings", "encoder"}
    assert {name.split(".")[2] for name in kept if name.startswith("encoder.")} == {"0"}
    assert all(name in kept for name in before if name.startswith(("embeddings.", "encoder.layer.0.")))


def test_heads_learn_at_their_own_rate_and_biases_do_not_decay(untrained: Tagger) -> None:
    groups = parameter_groups(untrained, 1e-4, 1e-2, 0.1)
    assert sorted((group["lr"], group["weight_decay"], len(group["params"]) > 0) for group in groups) == [
        *((1e-4, 0.0, True), (1e-4, 0.1, True), (1e-2, 0.0, True), (1e-2, 0.1, True))
    ]
    assert sum(len(group["params"]) for group in groups) == len(list(untrained.model.parameters()))


@pytest.mark.parametrize(
    ("capabilities", "native"),
    [({"avx512_bf16": True}, True), ({"amx_bf16": True, "avx2": True}, True), ({"avx2": True}, False), ({}, False)],
)
def test_bfloat16_is_chosen_where_the_processor_has_it(
    capabilities: dict[str, bool], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert bf16_is_native() is native


def test_bfloat16_can_be_asked_for(run: Run, tmp_path: Path) -> None:
    folder = run(precision="bf16", trainer=epochs(1))
    assert read(tmp_path / "run" / "run.json")["precision"] == "bf16"
    weights = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "fp16"}, "precision=fp16: expected one of auto, float32, bf16"),
        ({"dev": "none"}, "dev=none: expected one of choose, learn"),
        ({"trainer": {"learning_rate": 1.0}}, "trainer.learning_rate: expected no such key there"),
        ({"trainer": {"optim": "adafactor"}}, "trainer.optim=adafactor: expected adamw_torch"),
    ],
)
def test_what_would_have_no_effect_is_refused(
    changes: dict[str, Any], message: str, run: Run, short_run: ShortRun
) -> None:
    if "trainer" in changes:
        changes = {"trainer": short_run(**changes["trainer"])}
    with pytest.raises(DataError, match=re.escape(message)):
        run(**changes)


def test_the_optimiser_is_as_the_trainer_says(run: Run, short_run: ShortRun, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []
    usual = torch.optim.AdamW

    def adam(*arguments: Any, **names: Any) -> Any:
        made.append(names)
        return usual(*arguments, **names)

    monkeypatch.setattr(torch.optim, "AdamW", adam)
    run(trainer=short_run(adam_beta2=0.98, adam_epsilon=1e-6, num_train_epochs=1))
    assert (made[0]["betas"], made[0]["eps"]) == ((0.9, 0.98), 1e-6)


def test_dev_is_scored_on_what_the_model_answers(run: Run, tmp_path: Path) -> None:
    run(task={"heads": ["entities"], "length": 96})
    kept = read(tmp_path / "run" / "run.json")
    assert not {"TC", "AC"} & kept["dev"].keys()
    assert kept["objective"]["value"] == kept["dev"]["entities"]["micro"]["f1"]
    with pytest.raises(DataError, match=r"objective: expected a score that dev has, .* got 'triggers_f1'"):
        run(task={"heads": ["entities"], "length": 96}, objective="triggers_f1", overwrite=True)


def test_types_in_another_order_are_another_run(run: Run, ontology: Ontology, tmp_path: Path) -> None:
    run()
    turned = replace(ontology, entities=dict(reversed(list(ontology.entities.items()))))
    with pytest.raises(DataError, match="holds a run with other data, types or seed"):
        run(ontology=turned)


def test_types_of_dev_that_are_not_learned_are_refused_at_once(run: Run, ontology: Ontology) -> None:
    fewer = replace(ontology, entities={name: gloss for name, gloss in ontology.entities.items() if name != "GPE"})
    with pytest.raises(DataError, match=r"document '.*': entity type 'GPE' at \d+ is not in ontology"):
        run(ontology=fewer)
