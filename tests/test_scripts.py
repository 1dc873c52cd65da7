"""«من النص إلى الوقائع بأربعة أوامر»: the scripts prepare, train, evaluate and label; every configuration composes."""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import runpy
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from khabar.aggregate import aggregate
from khabar.compare import compare
from khabar.convert import convert
from khabar.corpus import Corpus
from khabar.document import Document
from khabar.export import export
from khabar.features import HEADS, Reader
from khabar.formats import jsonl, lines
from khabar.lora import adapt
from khabar.ontology import Ontology
from khabar.predict import predict
from khabar.prepare import prepare
from khabar.push import push
from khabar.serve import serve
from khabar.tagger import Tagger
from khabar.train import train

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
Script = Callable[..., None]


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Script]:
    """Run a script as ``python scripts/NAME.py OVERRIDES`` would, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def run(name: str, *overrides: str) -> None:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *overrides])
        GlobalHydra.instance().clear()
        runpy.run_path(str(ROOT / "scripts" / f"{name}.py"), run_name="__main__")

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)
    GlobalHydra.instance().clear()


def composed(name: str, *overrides: str) -> DictConfig:
    """The configuration of a script, with Hydra's own part set as a run would set it."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose(name, list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        found = config.copy()
        OmegaConf.set_struct(found, False)
        del found["hydra"]
        if "corpus" in found.get("data", {}):
            OmegaConf.resolve(found.data.corpus)
        if name != "prepare_data":
            found.get("data", {}).pop("prepare", None)  # how the corpus was made, with a source that is not given
        OmegaConf.resolve(found)
        return found


def accepts(function: Any, **arguments: Any) -> None:
    """Raise `TypeError` where the function does not take these arguments."""
    inspect.signature(function).bind(**arguments)


# End to end


def test_a_corpus_is_prepared_learned_scored_and_used(
    script: Script, encoder: Path, documents: tuple[Document, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for split, part in {"train": documents, "dev": documents[:3], "test": documents[3:5]}.items():
        copies = [Document(f"{split}/{d.id}", d.text, d.entities, d.events) for d in part]
        jsonl.write(tmp_path / "source" / f"{split}.jsonl", copies)
    corpus, run = "data.corpus.path=prepared", tmp_path / "run"
    script("prepare_data", "data=jsonl", "source=source", "data.prepare.output=prepared")
    assert Corpus("prepared").splits == ("train", "dev", "test")

    shape = ["task.length=96", "task.argument_length=96", f"model.encoder={encoder}", "precision=float32"]
    training = ["data=jsonl", corpus, *shape, "trainer.num_train_epochs=2", "output=run"]
    script("train", *training)
    assert Tagger.load(run / "model", "cpu").reader.heads == HEADS
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert record["config"]["trainer"]["num_train_epochs"] == 2
    assert record["config"]["model"]["encoder"] == str(encoder)
    assert (run / "hydra" / "config.yaml").is_file()
    assert any((run / "tensorboard").iterdir())

    before = (run / "run.json").read_bytes()
    script("train", *training)  # finished: left as it is
    assert (run / "run.json").read_bytes() == before
    with pytest.raises(SystemExit, match=r"^error: run holds a run with other \['learning_rate'\]"):
        script("train", *training, "learning_rate=1e-6")

    script("evaluate", "data=jsonl", corpus, f"checkpoint={run}/model", "device=cpu")
    report = json.loads((run / "evaluation-test" / "report.json").read_text(encoding="utf-8"))
    assert report["scores"]["documents"] == {"entities": 2, "events": 2}

    predicted = run / "evaluation-test" / "predictions.jsonl"
    script("evaluate", "gold=[source/test.jsonl]", f"predicted=[{predicted}]", "output=pooled")
    pooled = json.loads((tmp_path / "pooled" / "report.json").read_text(encoding="utf-8"))
    assert pooled["scores"] == report["scores"]

    (tmp_path / "story.txt").write_text(documents[0].text, encoding="utf-8")
    capfd.readouterr()
    script("predict", f"checkpoint={run}/model", "sources=[story.txt]", "output=out.jsonl", "show=true")
    assert [document.id for document in jsonl.read(tmp_path / "out.jsonl")] == ["story"]
    assert "entities" in capfd.readouterr().out


ERRORS: dict[str, tuple[str, list[str], str]] = {
    "no source": ("prepare_data", ["data=jsonl"], "say where the corpus is"),
    "source not there": ("prepare_data", ["data=jsonl", "source=gone"], "there is no such file"),
    "corpus not prepared": ("train", ["data=jsonl", "output=run"], "no prepared corpus here"),
    "nothing to score": ("evaluate", [], "nothing to score"),
    "gold without predictions": ("evaluate", ["gold=[g.jsonl]"], "give both gold="),
    "tags without gold": ("evaluate", ["tags=true", "predicted=[p.conll]"], "give both gold="),
    "no place for a report": ("evaluate", ["gold=[g.jsonl]", "predicted=[p.jsonl]"], "output=FOLDER"),
    "nothing to compare": ("compare", [], "say what to compare"),
    "no such evaluation": ("compare", ["systems=[gone,away]"], "gone: no counts.jsonl here or below"),
    "nothing to average": ("aggregate", [], "say what to average"),
    "no such report": ("aggregate", ["reports=[gone]"], "gone: no report.json here or below"),
    "nothing to convert": ("convert", ["to=brat"], "the formats are jsonl, parquet, conll, brat"),
    "no such format": ("convert", ["from=xml", "to=brat", "source=a", "output=b"], "there is no format 'xml'"),
    "no such model": (
        "predict",
        ["checkpoint=gone", "sources=[x.txt]", "output=o.jsonl"],
        "not a folder that khabar saved",
    ),
    "nothing to send": ("push", ["checkpoint=gone", "repository=a/b"], "gone: no such folder"),
    "no model to serve": ("serve", ["checkpoint=gone", "port=0"], "not a folder that khabar saved"),
    "no limit": ("serve", ["checkpoint=gone", "seconds=0"], "expected a number above 0"),
    "model to score not there": ("evaluate", ["data=jsonl", "checkpoint=gone"], "not a folder that khabar saved"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_goes_wrong_is_said_in_one_line(case: str, script: Script) -> None:
    name, overrides, message = ERRORS[case]
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        script(name, *overrides)


@pytest.mark.parametrize(
    "name",
    ["prepare_data", "train", "evaluate", "export", "push", "predict", "serve", "compare", "aggregate", "convert"],
)
def test_help_lists_what_can_be_set(name: str, script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    extra = ["data=jsonl"] if name == "prepare_data" else []
    with pytest.raises(SystemExit) as end:
        script(name, *extra, "--help")
    assert not end.value.code
    printed = capsys.readouterr().out
    assert "Configuration groups" in printed
    assert any(key in printed for key in ("source", "output", "checkpoint"))


@pytest.mark.parametrize("override", ["epochs=3", "trainer.num_epochs=3", "task.windows=2", "data.corpus.folder=x"])
def test_unknown_keys_fail(override: str) -> None:
    with pytest.raises(ConfigCompositionException, match="Could not override"):
        composed("train", override)


def test_unknown_keys_that_are_forced_in_fail_too() -> None:
    with pytest.raises(TypeError):
        instantiate(composed("train", "+trainer.num_epochs=3").trainer)(output_dir="x")
    with pytest.raises(TypeError):
        accepts(train, corpus=None, record=None, **without(composed("train", "+epochs=3")))


def without(config: DictConfig) -> dict[str, Any]:
    """The keys of a training configuration that are parameters of `train`."""
    return {str(name): value for name, value in config.items() if name not in ("data", "name")}


# Every option of every group


@pytest.mark.parametrize("experiment", ["", *options("experiment")])
def test_the_keys_of_a_training_run_are_parameters_of_train(experiment: str) -> None:
    config = composed("train", *([f"experiment={experiment}"] if experiment else []))
    accepts(train, **{"corpus": None, "record": None} | without(config))
    assert config.output.startswith("runs/")
    instantiate(config.trainer)(output_dir="unused", report_to=[])


def test_the_keys_of_a_prediction_are_parameters_of_predict() -> None:
    config = composed("predict", "checkpoint=m", "sources=[a.txt]", "output=o.jsonl")
    accepts(predict, **instantiate(config, _convert_="all"))
    assert set(config) == set(inspect.signature(predict).parameters)


def test_the_keys_of_the_service_are_parameters_of_serve() -> None:
    config = instantiate(composed("serve", "checkpoint=m"), _convert_="all")
    parameters = inspect.signature(serve).parameters
    assert set(config) == set(parameters)
    assert {k: v for k, v in config.items() if k != "checkpoint"} == {
        k: p.default for k, p in parameters.items() if k != "checkpoint"
    }


def test_the_keys_of_a_conversion_are_parameters_of_convert(
    script: Script, documents: tuple[Document, ...], tmp_path: Path
) -> None:
    config = composed("convert", "from=a", "to=b", "source=c", "output=d", "+ontology=ahdath")
    renamed = {"source_format": config.pop("from"), "target_format": config.pop("to")}
    assert {*config, *renamed} == set(inspect.signature(convert).parameters)
    jsonl.write(tmp_path / "in.jsonl", documents)
    script(
        "convert", "from=jsonl", "to=label_studio", "source=in.jsonl", "output=tasks.json", "+writing.part=annotations"
    )
    script("convert", "from=label_studio", "to=jsonl", "source=tasks.json", "output=out.jsonl")
    assert list(jsonl.read(tmp_path / "out.jsonl")) == list(documents)


def test_the_keys_of_an_export_are_parameters_of_export() -> None:
    config = composed("export", "checkpoint=m", "output=o")
    assert {str(name) for name in config} - {"data"} | {"corpus"} == set(inspect.signature(export).parameters)
    assert isinstance(instantiate(config.data.corpus), Corpus)


def test_the_keys_of_a_push_are_parameters_of_push() -> None:
    config = composed("push", "checkpoint=m", "repository=r")
    parameters = inspect.signature(push).parameters
    assert {name: config[name] for name in parameters if name not in ("checkpoint", "repository")} == {
        name: parameter.default for name, parameter in parameters.items() if name not in ("checkpoint", "repository")
    }
    assert set(config) == set(parameters)


@pytest.mark.parametrize("peft", options("peft"))
def test_the_settings_of_adapters_are_parameters_of_adapt(peft: str) -> None:
    config = instantiate(composed("train", f"peft={peft}").peft, _convert_="all")
    assert config == {} if peft == "none" else set(config) == {"r", "alpha", "dropout", "targets"}
    if config:
        accepts(adapt, tagger=None, **config)


@pytest.mark.parametrize("verb", [compare, aggregate])
def test_the_keys_of_what_reads_results_are_its_parameters(verb: Callable[..., Any]) -> None:
    assert set(composed(verb.__name__)) == set(inspect.signature(verb).parameters)


@pytest.mark.parametrize(
    ("model", "task"),
    [*((model, "all") for model in options("model")), *(("compact", task) for task in options("task"))],
)
def test_every_model_takes_its_task(model: str, task: str, ontology: Ontology) -> None:
    config = composed("train", f"model={model}", f"task={task}")
    make = instantiate(config.model)
    keywords = {**make.keywords, **instantiate(config.task, _convert_="all")}
    assert make.func == Tagger.create
    accepts(make.func, ontology=ontology, **keywords)
    settings = keywords.keys() - inspect.signature(Tagger.create).parameters.keys()
    assert settings <= {field.name for field in fields(Reader)}
    assert set(keywords["heads"]) <= set(HEADS)
    assert config.output == f"runs/ahdath-{task}-{model}/seed-1"


@pytest.mark.parametrize("trainer", options("trainer"))
def test_every_trainer_makes_training_arguments(trainer: str, tmp_path: Path) -> None:
    if trainer == "deepspeed":
        pytest.importorskip("deepspeed", reason="khabar[deepspeed] is not installed")
    arguments = instantiate(composed("train", f"trainer={trainer}").trainer)(output_dir=str(tmp_path), report_to=[])
    assert arguments.num_train_epochs > 0


@pytest.mark.parametrize("search", options("hparams_search"))
def test_every_search_is_of_keys_that_there_are(search: str) -> None:
    config = composed("train", f"hparams_search={search}", "model=compact")
    accepts(train, **{"corpus": None, "record": None} | without(config))
    sweeper = HydraConfig.get().sweeper
    assert sweeper.params
    for key in sweeper.params:
        assert OmegaConf.select(config, key) is not None, key


@pytest.mark.parametrize("launcher", options("hydra/launcher"))
def test_every_launcher_takes_its_keys(launcher: str) -> None:
    composed("train", f"hydra/launcher={launcher}")
    config: Any = OmegaConf.to_container(HydraConfig.get().launcher)
    path, _, name = str(config.pop("_target_")).rpartition(".")
    module = pytest.importorskip(path, reason="khabar[sweep] is not installed")
    keys = {"local": "JobLibLauncherConf", "slurm": "SlurmQueueConf"}[launcher]
    known = importlib.import_module(f"{path.rpartition('.')[0]}.config")
    assert set(config) == {field.name for field in fields(getattr(known, keys))} - {"_target_"} - set(UNUSED)
    getattr(module, name)(**config)


UNUSED = "comment exclude gres cpus_per_gpu gpus_per_task mem_per_gpu mem_per_cpu".split()  # of Slurm: + adds them


@pytest.mark.parametrize("ontology", options("ontology"))
def test_every_ontology_has_types(ontology: str) -> None:
    found = instantiate(composed("train", f"ontology={ontology}").ontology)
    assert isinstance(found, Ontology)
    assert found.name == ontology
    assert found.entities or found.events
    assert found == Ontology.load(CONFIGS / "ontology" / f"{ontology}.yaml")


@pytest.mark.parametrize("data", options("data"))
def test_every_corpus_can_be_prepared_and_found(data: str) -> None:
    for name in ("train", "evaluate"):
        corpus = instantiate(composed(name, f"data={data}").data.corpus)
        assert isinstance(corpus, Corpus)
    make = instantiate(composed("prepare_data", f"data={data}", "source=SOURCE").data.prepare, _partial_=True)
    assert make.func == prepare
    accepts(prepare, **make.keywords)
    for reader in make.keywords["splits"].values():
        for inner in reader.keywords.get("readers", [reader]):
            inspect.signature(inner).bind(report=Counter())
        assert "SOURCE" in str(reader.keywords)
    for choose in (make.keywords.get("carve") or {}).values():
        inspect.signature(choose).bind([])
    assert Path(str(corpus.path)).is_relative_to(make.keywords["output"])


def test_the_shipped_corpus_is_whole() -> None:
    corpus = Corpus(ROOT / "data" / "ahdath")
    for split in corpus.splits:
        for document in corpus.split(split):
            corpus.ontology.check(document)
    assert {"train", "dev", "test"} <= set(corpus.splits)


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_the_real_layer_holds_labels_and_no_text(split: str) -> None:
    ontology = Ontology.load(CONFIGS / "ontology" / "ahdath.yaml")
    for _, line in lines.read(ROOT / "data" / "ahdath" / "real" / f"{split}.jsonl"):
        record = json.loads(line)
        assert set(record) == {"id", "sha256", "entities", "events", "meta"}
        assert set(record["meta"]) == {"category", "source"}
        assert {entity["type"] for entity in record["entities"]} <= set(ontology.entities)
        assert {event["trigger"]["type"] for event in record["events"]} <= set(ontology.events)


def test_the_shipped_corpus_loads_in_datasets(tmp_path: Path) -> None:
    loaded = load_dataset(str(ROOT / "data" / "ahdath"), cache_dir=str(tmp_path))
    corpus = Corpus(ROOT / "data" / "ahdath")
    assert set(loaded) == set(corpus.splits)
    for split in corpus.splits:
        for row, document in zip(loaded[split], corpus.split(split), strict=True):
            row["meta"]["date"] = row["meta"]["date"].removesuffix(" 00:00:00")  # Arrow reads dates as times
            assert Document.from_json(row) == document
