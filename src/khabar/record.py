"""What a run leaves behind so that it can be repeated and judged: its surroundings."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

__all__ = ["headline", "surroundings"]

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
