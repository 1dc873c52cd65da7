"""What a run leaves behind so that it can be repeated and judged: surroundings and model card."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from khabar.corpus import Corpus
from khabar.features import Reader

__all__ = ["card", "headline", "surroundings"]

LIBRARIES = ("khabar", "torch", "transformers", "tokenizers", "datasets", "accelerate", "numpy")


def surroundings() -> dict[str, Any]:
    """Versions of the libraries, Python, machine and the state of the checkout."""
    return {
        "versions": {name: version(name) for name in LIBRARIES},
        "python": platform.python_version(),
        "machine": {"processor": platform.machine(), "cores": os.cpu_count()},
        "git": _git_state(),
    }


def _git_state() -> dict[str, Any]:
    """Commit of the working folder and whether it is changed; empty outside a checkout or without git."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"commit": commit.stdout.strip(), "changed": bool(status.stdout.strip())}


def headline(scores: Mapping[str, Any]) -> dict[str, float]:
    """Micro F1 of each kind of unit."""
    return {name: round(value["micro"]["f1"], 4) for name, value in scores.items() if "micro" in value}


def card(run: Mapping[str, Any], corpora: Sequence[Corpus], reader: Reader) -> str:
    """The model card: what the model answers, what it learned from, and its scores on dev."""
    rows = "\n".join(f"| {name} | {value:.3f} |" for name, value in headline(run["dev"]).items())
    scores = f"""Micro F1 on dev (strict spans; arguments of predicted triggers). The epoch was chosen on it, which
makes the scores optimistic: score a test split with `scripts/evaluate.py`.

| unit | F1 |
|---|---|
{rows}"""
    if not rows:
        scores = "No split was held out: score the model on a test split with `scripts/evaluate.py`."
    sources = "\n".join(f"- {part.name}, content hash `{part.hash[:16]}`" for part in corpora)
    return f"""# {reader.ontology.name}: {", ".join(reader.heads)}

A khabar model: label articles with `python -m khabar.predict PATH --model FOLDER --output FILE.jsonl`.

Trained on
{sources}

{run["train"]["documents"]} documents, {run["train"]["words"]} words an epoch, {run["epochs"]:g} epochs,
seed {run["seed"]}, {run["precision"]}, {run["seconds"]:.0f} s on {run["device"]}
({run["words_per_second"]:g} words/s, evaluation on dev included).
Preprocessing `{reader.preprocessing}`, windows of {reader.length} subwords.

{scores}

The folder of the run holds the configuration, data hashes, library versions and the history (`run.json`)."""
