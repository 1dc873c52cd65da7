"""«خير الكتب ما صدّقه العمل»: the pages of the site do what they say, and say what there is."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from config_reference import keys, page
from examples import ROOT, alike, run

DOCS = ROOT / "docs"
CONFIGS = ROOT / "configs"
PAGES = [*DOCS.rglob("*.md"), *ROOT.glob("*.md"), ROOT / "data/ahdath/README.md", ROOT / "src/khabar/compact/README.md"]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty folder to run in, and nothing of a script's set-up left behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KHABAR_MODEL", raising=False)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    GlobalHydra.instance().clear()


# Pages whose cells are run


def test_the_pages_with_cells_are_all_run() -> None:
    found = {path.stem for path in DOCS.rglob("*.md") if "```python" in path.read_text(encoding="utf-8")}
    assert found == {"index", "tutorial", "evaluation", "finetune"}


@pytest.mark.parametrize("name", ["index", "tutorial", "evaluation"])
def test_a_page_shows_what_its_cells_give(name: str) -> None:
    for code, shown, found in run((DOCS / f"{name}.md").read_text(encoding="utf-8")):
        assert shown is None or alike(shown, found), f"python docs/examples.py docs/{name}.md\n{code}\n{found}"


def test_own_labels_are_learned_as_the_page_says(encoder: Path) -> None:
    """AraBERT's place is taken by a tiny encoder, for one epoch."""
    quick = [f"model.encoder={encoder}", "trainer.num_train_epochs=1", "precision=float32"]
    quick += ["task.length=96", "task.context=16", "task.argument_length=96"]

    def edit(arguments: list[str]) -> list[str]:
        GlobalHydra.instance().clear()
        return arguments + quick * (arguments[0] == "scripts/train.py")

    for code, shown, found in run((DOCS / "finetune.md").read_text(encoding="utf-8"), edit):
        assert shown is None or alike(shown, found), f"{code}\n{found}"
    assert Path("market/labelled.jsonl").is_file()
    assert Path("runs/market/seed-1/evaluation-test/report.json").is_file()


OUTPUTS = {
    "a table and what pandas prints": (
        "\n| a | b |\n|---|---|\n| غارة | 0.93 |\n",
        "| a | b |\n| --- | --- |\n| غارة | 0.9 |",
        True,
    ),
    "fences": ("```text\nقُتل 1.0\n```\n", "قُتل 0.99", True),
    "another number": ("غارة 0.93", "غارة 0.7", False),
    "another word": ("غارة", "هجوم", False),
    "a word more": ("غارة", "غارة غارة", False),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_outputs_are_compared_by_word_and_number(case: str) -> None:
    shown, found, same = OUTPUTS[case]
    assert alike(shown, found) is same


# What the pages point at


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```|^    .*?$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    elsewhere = {"configuration.md", "design.md", "changelog.md", "data-card.md", "guidelines.md", "model-card.md"}
    elsewhere |= {"manual.md"}
    targets = {target for target in re.findall(r"\]\((?!\w+:)([^)#\s]+)", text) if target not in elsewhere}
    assert {target for target in targets if not (path.parent / target).exists()} == set()


def test_every_module_of_the_reference_is_there() -> None:
    named = {name for path in DOCS.rglob("*.md") for name in re.findall(r"^::: khabar\.(\S+)", path.read_text(), re.M)}
    assert named
    for name in named:
        source = (ROOT / "src/khabar" / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(source))


# The configuration reference


def test_every_option_and_key_of_the_configuration_is_in_the_reference() -> None:
    text = page(CONFIGS)
    files = list(CONFIGS.rglob("*.yaml"))
    assert files
    for path in files:
        group, name = path.parent.relative_to(CONFIGS).as_posix(), path.stem
        heading = f"### scripts/{name}.py" if group == "." else f"## {group} {{"
        assert heading in text
        if group != ".":
            assert f"### {group}={name} {{" in text
        for key in keys(path.read_text(encoding="utf-8")):
            assert key.name in text
            assert key.default.replace("|", "\\|") in text


def test_a_key_has_its_default_as_written_and_the_comment_beside_it() -> None:
    source = (
        'name: خبر # of the run\nskip: ["$#$"] # ends a segment\nmodel: # beside its encoder\n  frozen: 0\n'
        "splits:\n  train: &reader\n    path: ${source}/a # where\n  dev:\n    <<: *reader\n    path: b\nnone: null\n"
    )
    assert [tuple(key) for key in keys(source)] == [
        ("name", "خبر", "of the run"),
        ("skip", '["$#$"]', "ends a segment"),
        ("model", "", "beside its encoder"),
        ("model.frozen", "0", ""),
        ("splits.train.path", "${source}/a", "where"),
        ("splits.dev", "as splits.train", ""),
        ("splits.dev.path", "b", ""),
        ("none", "null", ""),
    ]
