"""«التقى الوزير نظيره في القاهرة»: the page as a browser shows it, in headless Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from playwright.sync_api import Browser, ViewportSize, sync_playwright
from playwright.sync_api import Page as Tab

from khabar.html import page
from pages import EXAMPLES, REPORT
from test_html import hostile

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking".split()
QUIET += ["--disable-component-update", "--disable-sync"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(page(REPORT, EXAMPLES), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def address(file: Path) -> str:
    return file.as_uri()


def opened(browser: Browser, address: str, width: int = 1280, **settings: Any) -> Tab:
    tab = browser.new_page(viewport=ViewportSize(width=width, height=900), **settings)
    tab.set_default_timeout(20_000)
    tab.goto(address)
    return tab


@pytest.fixture
def tab(browser: Browser, address: str) -> Iterator[Tab]:
    tab = opened(browser, address)
    yield tab
    tab.close()


def status(tab: Tab) -> str | None:
    return tab.text_content("#status")


@pytest.mark.parametrize("harm", [False, True])
def test_a_page_loads_in_silence_and_asks_for_nothing(browser: Browser, file: Path, tmp_path: Path, harm: bool) -> None:
    if harm:
        file = tmp_path / "hostile.html"
        file.write_text(hostile(), encoding="utf-8")
    tab = browser.new_page()
    requests: list[str] = []
    said: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("dialog", lambda dialog: said.append(dialog.message))
    tab.goto(file.as_uri())
    tab.click("#next")
    tab.wait_for_timeout(200)
    assert requests == [file.as_uri()]
    assert said == []
    assert tab.evaluate("typeof window.harm") == "undefined"
    tab.close()


def test_a_script_that_got_in_would_not_run(browser: Browser, file: Path, tmp_path: Path) -> None:
    harm = "<script>window.harm = 1</script><img src=x onerror='harm=2'>"
    (tmp_path / "harm.html").write_text(file.read_text(encoding="utf-8").replace("<main", f"{harm}<main"), "utf-8")
    tab = opened(browser, (tmp_path / "harm.html").as_uri())
    assert tab.evaluate("typeof window.harm") == "undefined"
    assert status(tab) == "2 of 2 articles, 5 mistakes"  # our own script does
    tab.close()


def test_articles_are_filtered_by_kind(tab: Tab) -> None:
    assert status(tab) == "2 of 2 articles, 5 mistakes"
    tab.uncheck("input[value=correct]")
    assert status(tab) == "1 of 2 articles, 5 mistakes"
    for kind in ("missed", "spurious", "type"):
        tab.uncheck(f"input[value={kind}]")
    assert status(tab) == "1 of 2 articles, 1 mistake"
    assert tab.locator(".text .mark:not(.off)").all_text_contents() == [
        "حلبGPE↔, wrong boundary",
        "مدينة حلبGPE↔, wrong boundary",
    ]
    tab.uncheck("input[value=boundary]")
    assert status(tab) == "0 of 2 articles, 0 mistakes"
    assert tab.is_visible("#nothing")
    tab.click("button[type=reset]")
    tab.wait_for_timeout(50)
    assert status(tab) == "2 of 2 articles, 5 mistakes"


def test_articles_are_filtered_by_layer(tab: Tab) -> None:
    tab.uncheck("input[value=entities]")
    tab.uncheck("input[value=triggers]")
    assert status(tab) == "2 of 2 articles, 2 mistakes"  # arguments: one missed, one spurious
    assert tab.locator(".text .mark:not(.off)").count() == 0
    assert tab.locator(".text small").first.is_hidden()
    look = (
        "({ backgroundColor, outlineStyle, textDecorationLine }) => [backgroundColor, outlineStyle, textDecorationLine]"
    )
    seen = tab.locator(".text .mark").evaluate_all(f"marks => marks.map(mark => ({look})(getComputedStyle(mark)))")
    assert [one for one in seen if one != ["rgba(0, 0, 0, 0)", "none", "none"]] == []
    assert len(seen) == 11


def test_articles_are_filtered_by_type(tab: Tab) -> None:
    tab.select_option("select[name=label]", "triggers/Meet")
    assert status(tab) == "1 of 2 articles, 0 mistakes"
    assert tab.locator("article.example:visible h3 bdi").all_text_contents() == ["القاهرة"]
    tab.select_option("select[name=label]", "arguments/Time")
    assert status(tab) == "1 of 2 articles, 1 mistake"
    assert tab.locator(".sides.events:visible").count() == 1


def test_mistakes_are_reached_from_the_keyboard(tab: Tab) -> None:
    for _ in range(60):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.id") == "next":
            break
    focused = "(({dataset: d, innerText}) => [d.layer, d.kind])(document.activeElement)"
    tab.keyboard.press("Enter")
    assert tab.evaluate(focused) == ["entities", "type"]
    visited = [["entities", "type"]]
    for _ in range(5):
        tab.keyboard.press("n")
        visited.append(tab.evaluate(focused))
    assert sorted(visited) == sorted(
        [
            *(["entities", kind] for kind in ("type", "boundary", "missed")),
            *(["arguments", kind] for kind in ("missed", "spurious")),
            ["entities", "type"],  # round again
        ]
    )
    tab.keyboard.press("p")
    assert tab.evaluate(focused) == visited[-2]


def test_the_counterpart_of_a_mention_is_shown(tab: Tab) -> None:
    tab.locator("mark.boundary").first.hover()
    assert tab.locator(".text .paired").all_text_contents() == [
        "حلبGPE↔, wrong boundary",
        "مدينة حلبGPE↔, wrong boundary",
    ]


def test_texts_run_from_right_to_left(tab: Tab) -> None:
    words = tab.locator(".side[aria-label=gold] .text").nth(1)
    assert words.evaluate("text => getComputedStyle(text).direction") == "rtl"
    first, last = words.locator("b").bounding_box(), words.locator("mark").bounding_box()
    assert first is not None
    assert last is not None
    assert first["x"] > last["x"]
    assert abs(first["y"] - last["y"]) < 20  # on one line
    gold, predicted = (tab.locator(f".side[aria-label={side}]").first.bounding_box() for side in ("gold", "predicted"))
    assert gold is not None
    assert predicted is not None
    assert gold["x"] + gold["width"] <= predicted["x"] + 1
    assert gold["y"] == predicted["y"]


def test_a_narrow_window_stacks_the_sides_and_scrolls_down_only(browser: Browser, address: str) -> None:
    tab = opened(browser, address, width=360)
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
    gold, predicted = (tab.locator(f".side[aria-label={side}]").first.bounding_box() for side in ("gold", "predicted"))
    assert gold is not None
    assert predicted is not None
    assert gold["y"] + gold["height"] <= predicted["y"] + 1
    tab.close()


# The luminance contrast of an element's text with the first ground under it that is not transparent (WCAG 2).
CONTRAST = """(elements) => elements.map((element) => {
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const luminance = (colour) => {
    paint.fillStyle = colour;
    paint.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...paint.getImageData(0, 0, 1, 1).data].map((v) =>
      v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let under = element;
  const ground = (one) => getComputedStyle(one).backgroundColor;
  while (ground(under) === "rgba(0, 0, 0, 0)" || ground(under).includes(" / ")) under = under.parentElement;
  const [low, high] = [luminance(getComputedStyle(element).color), luminance(ground(under))].sort((a, b) => a - b);
  return [element.textContent, (high + 0.05) / (low + 0.05)];
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(browser: Browser, address: str, scheme: Any) -> None:
    tab = opened(browser, address, color_scheme=scheme)
    tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    where = "body, .note, .lead, nav a, td.right, td.wrong, .tally span, mark, .cost, output, .sign, .score, .interval"
    contrasts: list[tuple[str, float]] = tab.locator(where).evaluate_all(CONTRAST)
    assert len(contrasts) > 60
    assert [(text, contrast) for text, contrast in contrasts if contrast < 4.5] == []
    tab.close()


def test_dark_mode_is_dark_and_paper_is_light(browser: Browser, address: str) -> None:
    tab = opened(browser, address, color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert tab.evaluate(ground) == "rgb(14, 19, 24)"
    stroke = tab.locator(".plot path[style*='--accent']").first
    on_dark = stroke.evaluate("path => getComputedStyle(path).stroke")
    tab.emulate_media(media="print")
    assert tab.evaluate(ground) == "rgb(255, 255, 255)"
    assert stroke.evaluate("path => getComputedStyle(path).stroke") != on_dark
    assert tab.locator("nav").is_hidden()
    assert tab.locator("#filters").is_hidden()
    assert tab.pdf().startswith(b"%PDF")
    assert tab.locator("details:not([open])").count() == 0  # paper cannot be unfolded
    tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_screenshot_is_not_blank(browser: Browser, address: str, scheme: Any) -> None:
    tab = opened(browser, address, color_scheme=scheme)
    pixels = imread(BytesIO(tab.screenshot(full_page=True)), format="png")[::3, ::3, :3]
    height = pixels.shape[0]
    assert len(np.unique(pixels @ (1.0, 256.0, 65536.0))) > 200  # colours
    # No band of 300 pixels is empty, from the top of the page to its end.
    assert all(pixels[top : top + 100].std() > 0.005 for top in range(0, height - 100, 100))
    tab.close()
