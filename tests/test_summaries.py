"""«انتهى التدريب وهذه خلاصته»: a run and a sweep as pages that need no network, with their plots as pictures."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from khabar import curves
from khabar.corpus import Corpus
from khabar.summaries import write_run, write_sweep
from test_browser import CHROMIUM, QUIET
from test_html import HOSTILE, Page

HISTORY: list[dict[str, Any]] = [
    *(
        {"epoch": step / 4, "step": step, "loss": 2 / step, "learning_rate": 1e-4 * (12 - step)}
        for step in range(1, 13)
    ),
    *(
        {"epoch": float(epoch), "eval_entities_f1": 0.6 + epoch / 10, "eval_triggers_f1": 0.5, "eval_f1": f1}
        for epoch, f1 in ((1, 0.55), (2, 0.65), (3, 0.6))
    ),
]
TRIALS: list[dict[str, Any]] = [
    {
        "number": number,
        "state": state,
        "value": value,
        "steps": steps,
        "params": {"learning_rate": 10.0 ** -(3 + number / 2), "model": model},
        "error": error,
    }
    for number, (state, value, steps, model, error) in enumerate(
        [
            ("complete", 0.61, {1: 0.4, 2: 0.61}, "compact", None),
            ("pruned", 0.3, {1: 0.3}, "arabert_base", None),
            ("fail", None, {}, "compact", f"DataError: {HOSTILE}"),
            ("complete", 0.72, {1: 0.6, 2: 0.7, 3: 0.72}, HOSTILE, None),
            ("running", None, {1: 0.5}, "compact", None),
        ]
    )
]


@pytest.fixture
def run(trained: Path, corpus: Corpus) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((trained.parent / "run.json").read_text(encoding="utf-8"))
    return found


def sweep(folder: Path, trials: list[dict[str, Any]] = TRIALS) -> list[Path]:
    space = {"learning_rate": "1e-05 to 0.001, logarithmic", "model": "compact, arabert_base"}
    return write_sweep(folder, "أخبار", trials, space, "python scripts/train.py 'a=b c'", ["learning_rate"])


def test_a_run_leaves_its_page_and_its_plots(trained: Path, run: dict[str, Any], corpus: Corpus) -> None:
    output = trained.parent
    assert {path.name for path in (output / "plots").iterdir()} == {"loss.png", "learning-rate.png", "dev.png"}
    for path in (output / "plots").iterdir():
        assert path.read_bytes().startswith(b"\x89PNG\r\n")
    page = Page((output / "summary.html").read_text(encoding="utf-8"))
    assert page.tags["svg"] == 3
    assert page.tags["script"] == 0
    for said in (corpus.hash, run["versions"]["torch"], "epochs: 30", "ORG", "learning rate"):
        assert said in page.text
    assert f"{100 * run['objective']['value']:.2f} %" in page.text
    assert f"{100 * run['dev']['entities']['micro']['f1']:.1f}" in page.text


def test_a_page_asks_for_nothing(trained: Path, tmp_path: Path) -> None:
    sweep(tmp_path)
    for path in (trained.parent / "summary.html", tmp_path / "summary.html"):
        html = path.read_text(encoding="utf-8")
        assert "default-src 'none'" in html
        page = Page(html)
        assert {link for name in ("src", "href", "data") for link in page.values(name) if link[0] != "#"} == {"data:,"}
        assert not re.findall(r"url\((?!#)|@import", html)
        assert not re.findall(r"#0[1-8]0[1-8]0[1-8]", html)  # every colour of a plot is one of the page's


def test_a_sweep_shows_every_trial_and_the_best_first(tmp_path: Path) -> None:
    files = sweep(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in files] == [
        *("summary.html", "plots/trials.png", "plots/epochs.png"),
        *("plots/by-learning-rate.png", "plots/by-model.png"),
    ]
    html = files[0].read_text(encoding="utf-8")
    assert "python scripts/train.py &#39;a=b c&#39;" in html
    rows = re.findall(r'<th scope="row">(\d+)</th><td>(\w+)</td>', html)
    assert rows == [("3", "complete"), ("0", "complete"), ("1", "pruned"), ("2", "fail"), ("4", "running")]


def test_what_a_run_or_a_trial_says_is_only_text(tmp_path: Path, run: dict[str, Any], corpus: Corpus) -> None:
    sweep(tmp_path / "sweep")
    write_run(tmp_path / "run", {**run, "config": {HOSTILE: [HOSTILE]}, "device": HOSTILE}, [corpus])
    for path in tmp_path.glob("*/summary.html"):
        page = Page(path.read_text(encoding="utf-8"))
        assert page.tags["script"] == page.tags["img"] == 0
        assert not [name for name, _ in page.attributes if name.startswith("on")]
        assert "window.harm = 1" in page.text


@pytest.mark.parametrize(
    "history",
    [
        [],
        [{"epoch": 1.0, "loss": float("nan"), "learning_rate": 0.0}],
        [{"epoch": 0.5, "loss": 1.0, "learning_rate": 1e-4}],
        [{"epoch": 1.0, "eval_f1": 0.0}],
        [{"epoch": 1.0, "eval_entities_f1": 0.7, "eval_f1": 0.7}],
        HISTORY,
    ],
    ids=["nothing", "no number", "a step", "no layer", "one layer", "all"],
)
def test_any_history_can_be_drawn(history: list[dict[str, Any]]) -> None:
    for objective in ("f1", "entities_f1"):
        for plot in curves.training(history, objective).values():
            assert plot.svg.startswith("<svg")


@pytest.mark.parametrize("count", range(len(TRIALS) + 1))
def test_a_sweep_can_be_drawn_at_any_time(count: int, tmp_path: Path) -> None:
    assert sweep(tmp_path, TRIALS[:count])[0].is_file()


def test_the_dev_scores_say_which_epoch_was_chosen() -> None:
    assert "the model is of epoch 2" in curves.training(HISTORY, "f1")["dev"].about
    assert "the model is of epoch 3" in curves.training(HISTORY, "entities_f1")["dev"].about


def test_without_matplotlib_the_page_has_no_plots_and_says_so(
    tmp_path: Path,
    run: dict[str, Any],
    corpus: Corpus,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (page,) = write_run(tmp_path, run, [corpus])
    assert "has no plots: matplotlib is missing; pip install 'khabar[report]'" in caplog.text
    assert "The plots are left out" in page.read_text(encoding="utf-8")
    assert not (tmp_path / "plots").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_the_page_by_day_and_by_night(scheme: Any, trained: Path, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    sweep(tmp_path)
    shutil.copy(trained.parent / "summary.html", tmp_path / "run.html")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        for name in ("summary.html", "run.html"):
            tab = browser.new_page(color_scheme=scheme, viewport={"width": 390, "height": 800})
            said: list[str] = []
            tab.on("console", lambda message: said.append(message.text))  # noqa: B023 (of this round)
            tab.on("request", lambda one: said.append(one.url))  # noqa: B023
            tab.goto((tmp_path / name).as_uri())
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")  # nothing hangs over
            stroke = "getComputedStyle(document.querySelector('.plot path[style*=accent]')).stroke"
            assert tab.evaluate(stroke) == {"light": "rgb(11, 114, 105)", "dark": "rgb(63, 184, 168)"}[scheme]
            assert [one for one in said if not one.startswith(("data:", "file:"))] == []
        browser.close()
