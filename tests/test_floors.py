"""«لا يُبنى الطابق العلوي قبل السفلي»: a file imports only from floors below its own."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "khabar"
LINES = 350
ROOMS = ("formats", "checks", "scoring")  # folders of modules
PACKAGES = ("khabar", *(f"khabar.{room}" for room in ROOMS))

# Each module's floor; a module imports what stands on a lower one. Parts of a floor order its own rooms.
FLOORS: dict[str, tuple[int, ...]] = {
    "document": (0, 0),
    "ontology": (0, 1),
    "limits": (0, 1),
    "cleaning": (1, 0),
    "farasa": (1, 0),
    "arabic": (1, 1),
    "bio": (1, 2),
    "edges": (1, 2),
    **dict.fromkeys(("formats", "checks", "scoring"), (2, 0)),
    "formats.lines": (2, 0),
    "select": (1, 0),
    "formats.folders": (2, 0),
    "formats.utf16": (2, 0),
    "formats.tags": (2, 1),
    **{f"formats.{name}": (2, 2) for name in ("conll", "doc", "huggingface", "jsonl", "parquet", "text", "trec")},
    "formats.spans": (2, 1),
    **{f"formats.{name}": (2, 2) for name in ("brat", "cas", "doccano", "label_studio", "oneie")},
    **{f"formats.{name}": (2, 3) for name in ("docbin", "quotes", "rows", "standoff")},
    "scoring.alignment": (2, 1),
    "metrics": (2, 2),
    "scoring.boundaries": (2, 2),
    "scoring.reliability": (2, 3),
    "scoring.overlap": (2, 2),
    "scoring.sequences": (2, 3),
    "scoring.ceaf": (2, 3),
    "sources": (2, 3),
    "manifest": (2, 4),
    "plan": (2, 5),
    "shards": (2, 6),
    "windows": (2, 2),
    "results": (2, 2),
    "significance": (2, 2),
    "checks.duplicates": (2, 2),
    "corpus": (2, 3),
    "checks.inventory": (2, 4),
    "checks.findings": (2, 5),
    "checks.oddities": (2, 5),
    "checks.leaks": (2, 6),
    "calibration": (3, 0),
    "features": (3, 0),
    "batches": (3, 1),
    "processes": (3, 0),
    "checkpoints": (3, 0),
    "tokenizer": (3, 0),
    "agreement": (3, 1),
    "contract": (3, 1),
    "encoder": (3, 2),
    "model": (3, 2),
    "oracle": (3, 1),
    "scoring.facets": (3, 1),
    "scoring.errors": (3, 2),
    "checks.ceiling": (3, 2),
    "labeller": (4, 0),
    "batcher": (4, 1),
    "tagger": (4, 1),
    "onnx": (4, 1),
    "backends": (4, 2),
    "cluster": (4, 3),
    "engines": (4, 4),
    "int8": (4, 2),
    "dataset": (4, 0),
    "cache": (4, 1),
    "trainer": (4, 3),
    "runs": (4, 2),
    "lora": (4, 2),
    "plain": (4, 2),
    "graph": (4, 3),
    "record": (5, 0),
    "cards": (5, 0),
    "tables": (5, 0),
    "frames": (5, 0),
    "view": (5, 0),
    "markup": (5, 0),
    "names": (5, 0),
    "viewer": (5, 1),
    "messages": (5, 0),
    "guard": (5, 1),
    "service": (5, 2),
    "serve": (5, 3),
    "examples": (5, 0),
    "plots": (5, 0),
    "tracking": (5, 0),
    "curves": (5, 1),
    "html": (5, 1),
    "summaries": (5, 2),
    "sweeps": (5, 3),
    "report": (5, 2),
    **dict.fromkeys(("survey", "check", "compare", "aggregate", "convert"), (5, 3)),
    **dict.fromkeys(("prepare", "train", "average", "export", "evaluate", "predict", "push"), (5, 3)),
}
# A document gives itself to people: notebooks and pandas know methods, not modules. These look up the stairs when they
# are called, and only then.
UPSTAIRS = {"document": {"frames", "formats.doc", "viewer"}}
FILES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", "."): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.parent == PACKAGE or path.parent.name in ROOMS
}
MODULES = {name.removesuffix(".__init__"): path for name, path in FILES.items() if name != "__init__"}


def imported(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            module = node.module or ""
            names.update(f"{module}.{alias.name}" if module in PACKAGES else module for alias in node.names)
    return names


def test_every_module_has_its_floor() -> None:
    assert set(MODULES) == set(FLOORS)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_from_floors_below(name: str) -> None:
    ours = {module.removeprefix("khabar.") for module in imported(MODULES[name]) if module.startswith("khabar.")}
    assert {module for module in ours if FLOORS[module] >= FLOORS[name]} == UPSTAIRS.get(name, set())


def test_what_looks_up_the_stairs_is_imported_without_them() -> None:
    listing = "import sys, khabar; print(*sorted(name for name in sys.modules if name.startswith('khabar')))"
    loaded = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout
    assert loaded.split() == ["khabar", "khabar.document"]


@pytest.mark.parametrize("name", FILES)
def test_configuration_ends_at_the_scripts(name: str) -> None:
    tops = {module.partition(".")[0] for module in imported(FILES[name])}
    assert not tops & {"hydra", "omegaconf"}


@pytest.mark.parametrize("name", FILES)
def test_a_module_says_what_it_is_for_and_can_be_read_at_one_sitting(name: str) -> None:
    source = FILES[name].read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source))
    assert len(source.splitlines()) <= LINES
