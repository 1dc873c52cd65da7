"""«أُرسل النموذج إلى المستودع»: what is sent is checked, listed and arrives whole, and nothing else goes anywhere."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import hub
from khabar.cards import front_matter
from khabar.document import DataError
from khabar.push import contents, push

ROOT = Path(__file__).parents[1]
Push = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def standing() -> Iterator[hub.Hub]:
    with hub.running() as found:
        yield found


@pytest.fixture
def model(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained model's folder."""
    return shutil.copytree(trained, tmp_path / "model")


@pytest.fixture
def pushed(standing: hub.Hub, model: Path, tmp_path: Path) -> Push:
    """Run ``scripts/push.py`` in a process of its own that knows no other hub than the stand-in."""

    def run(*overrides: str, token: str | None = hub.TOKEN) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        env = kept | {
            "HF_ENDPOINT": standing.address,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
            **({"HF_TOKEN": token} if token else {}),
        }
        command = [sys.executable, str(ROOT / "scripts" / "push.py"), f"checkpoint={model}", *overrides]
        return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)

    return run


# To a hub


def test_a_folder_arrives_whole_and_private(pushed: Push, standing: hub.Hub, model: Path) -> None:
    done = pushed("repository=sahafa/akhbar")
    assert done.returncode == 0, done.stdout + done.stderr
    repository = standing.repositories["sahafa/akhbar"]
    assert repository.private
    assert repository.branches["main"] == {path.name: path.read_bytes() for path in model.iterdir()}
    assert [commit["summary"] for commit in repository.commits] == [
        "khabar: أخبار: entities, triggers, arguments, clitics"
    ]
    assert f"sent to {standing.address}/sahafa/akhbar/commit/" in done.stdout
    # The token goes to the hub and nowhere else, neither into what is printed nor to where the weights are stored.
    assert not any(secret in done.stdout + done.stderr for secret in (hub.TOKEN, hub.SIGNATURE))
    assert {token for path, token in standing.tokens if path.startswith("/storage/")} == {None}
    assert {token for path, token in standing.tokens if path.startswith("/api/")} == {f"Bearer {hub.TOKEN}"}


def test_a_second_push_goes_to_its_branch_and_sends_no_weights_twice(pushed: Push, standing: hub.Hub) -> None:
    assert pushed("repository=akhbar").returncode == 0
    done = pushed("repository=akhbar", "revision=v2", "message='بعد المراجعة'")
    assert done.returncode == 0, done.stdout + done.stderr
    repository = standing.repositories["khabar/akhbar"]
    assert repository.branches["v2"] == repository.branches["main"]
    assert repository.commits[1]["summary"] == "بعد المراجعة"
    assert sum(request.startswith("PUT /storage/") for request in standing.requests) == 1


def test_a_public_repository_takes_a_model_only_where_that_is_meant(pushed: Push, standing: hub.Hub) -> None:
    standing.repositories["sahafa/open"] = hub.Repository(private=False)
    done = pushed("repository=sahafa/open")
    assert done.returncode == 1
    assert "error: sahafa/open is there already and public; private=false says that this is meant" in done.stderr
    assert not standing.repositories["sahafa/open"].branches["main"]
    assert pushed("repository=sahafa/open", "private=false").returncode == 0
    assert standing.repositories["sahafa/open"].branches["main"]


@pytest.mark.parametrize(
    ("token", "drop", "message"),
    [
        (None, "", "error: no token of the model hub: set HF_TOKEN"),
        ("hf_wrong", "", "401"),
        (hub.TOKEN, "/commit/", "403"),
        (hub.TOKEN, "/storage/", "403"),
    ],
)
def test_what_the_hub_refuses_is_said_in_one_line(
    token: str | None, drop: str, message: str, pushed: Push, standing: hub.Hub
) -> None:
    standing.drop = drop
    done = pushed("repository=sahafa/akhbar", token=token)
    assert done.returncode == 1
    (said,) = re.findall("error: .*", done.stderr)  # behind what a progress bar left
    assert message in said
    assert not any(secret in done.stdout + done.stderr for secret in (hub.TOKEN, hub.SIGNATURE))
    assert not any(repository.branches["main"] for repository in standing.repositories.values())


def test_a_dry_run_asks_nobody(pushed: Push, standing: hub.Hub, model: Path) -> None:
    done = pushed("repository=sahafa/akhbar", "dry_run=true", token=None)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not standing.requests
    for path in model.iterdir():
        assert path.name in done.stdout
        assert f"{path.stat().st_size:,}" in done.stdout
        assert hashlib.sha256(path.read_bytes()).hexdigest()[:16] in done.stdout


# What is sent


def test_the_files_are_named_with_size_and_hash(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = push(model, "sahafa/akhbar", dry_run=True)
    assert files == contents(model)
    assert [(file.name, file.size) for file in files] == sorted((p.name, p.stat().st_size) for p in model.iterdir())
    assert any("the licence is unknown" in message for message in caplog.messages)


def test_paths_of_this_machine_are_noticed(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    contents(model)
    assert any("names a folder of this machine" in message for message in caplog.messages)


def spoil_weights(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def spoil_head(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["heads.entities.weight"] = np.zeros((3, 32), dtype=np.float32)
    save_file(weights, folder / "model.safetensors")


def spoil_card(folder: Path) -> None:
    (folder / "README.md").write_text("# نموذج\n", encoding="utf-8")


def make_plain(folder: Path) -> None:
    (folder / "khabar.json").unlink()


def half_plain(folder: Path) -> None:
    (folder / "khabar.json").unlink()
    (folder / "export.json").write_text(json.dumps({"format": "transformers"}), encoding="utf-8")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "id2label": {"0": "O"}}), encoding="utf-8")


UNFIT: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "no such folder"),
    "a secret": (lambda folder: (folder / ".env").write_text("HF_TOKEN=hf_x"), r"\.env: does not belong"),
    "a pickle": (lambda folder: (folder / "optimizer.pt").write_bytes(b""), r"optimizer\.pt: does not belong"),
    "a folder within": (lambda folder: (folder / "checkpoints").mkdir(), "checkpoints: does not belong"),
    "a link": (lambda folder: (folder / "other.json").symlink_to("/etc/hostname"), r"other\.json: does not belong"),
    "no contract": (make_plain, "neither a model folder"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "the folder is not whole"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "the folder is not whole"),
    "weights cut short": (spoil_weights, "cannot be read"),
    "another head": (spoil_head, r"has heads \{'entities': 3"),
    "tags without outputs": (half_plain, "has 0 outputs, config.json names 1 tags"),
    "no card": (lambda folder: (folder / "README.md").unlink(), "a card whose head says"),
    "a bare card": (spoil_card, r"a card whose head says \['language', 'license', 'tags'\]"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_folder_that_is_not_fit_is_refused(case: str, model: Path) -> None:
    spoil, message = UNFIT[case]
    spoil(model)
    with pytest.raises(DataError, match=message):
        contents(model)


def test_the_labeller_that_ships_is_fit() -> None:
    folder = ROOT / "src" / "khabar" / "compact"
    assert {file.name for file in contents(folder)} >= {"khabar.json", "model.safetensors", "README.md"}
    assert front_matter(folder / "README.md")["license"] == "mit"
