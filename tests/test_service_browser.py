"""«ألصق الخبر ترَ أحداثه»: the service's page in headless Chromium, with the labeller that ships."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Route, expect
from playwright.sync_api import Page as Tab

from khabar.backends import load
from khabar.contract import COMPACT
from khabar.formats import jsonl
from khabar.labeller import Labeller
from khabar.limits import Limits
from serving import Held, running
from test_browser import CHROMIUM, CONTRAST, browser, opened  # noqa: F401 (a fixture is used by its name)
from test_viewer import HARM
from test_viewer_browser import overheard

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")

SEED = next(jsonl.read(Path(__file__).parents[1] / "seeds" / "raid-eastern-syria.jsonl"))
WAIT = 60_000  # milliseconds, on a loaded machine


@pytest.fixture(scope="module")
def labeller() -> Labeller:
    return load(COMPACT, "cpu")


@pytest.fixture(scope="module")
def address(labeller: Labeller) -> Iterator[str]:
    with running(labeller, Limits(characters=5_000)) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def tab(browser: Browser, address: str) -> Iterator[Tab]:  # noqa: F811
    tab = opened(browser, address)
    yield tab
    tab.close()


def test_the_seed_article_is_pasted_and_read(tab: Tab, labeller: Labeller) -> None:
    assert tab.evaluate("document.documentElement.lang + document.documentElement.dir") == "arrtl"
    tab.fill("textarea", SEED.text)
    tab.click("#label")
    tab.wait_for_selector(".article", timeout=WAIT)
    expected = labeller.label(SEED.text)
    assert expected.events
    triggers = [expected.surface(event.trigger) for event in expected.events]
    assert tab.locator(".event .trigger").all_text_contents() == triggers
    assert tab.locator(".text").evaluate("text => text.textContent") == SEED.text
    assert tab.locator(".event .argument").count() == sum(len(event.arguments) for event in expected.events)

    tab.locator(".event").first.click()
    assert tab.locator(".event.on .trigger").all_text_contents() == triggers[:1]
    tab.locator("#articles").press("j")
    assert tab.locator("b.on").first.text_content() == triggers[1]
    tab.keyboard.press("k")
    said = tab.text_content("#status") or ""
    assert f"1 / {len(triggers)}" in said
    tab.click("text=English")
    assert tab.evaluate("document.documentElement.lang + document.documentElement.dir") == "enltr"
    assert (tab.text_content("#status") or "").startswith(expected.events[0].type)
    assert tab.locator("textarea").get_attribute("placeholder") == "The text of an Arabic report…"
    tab.keyboard.press("Escape")
    assert tab.locator(".on, .of").count() == 0


def test_the_keyboard_alone_does_it_and_a_second_article_takes_the_place_of_the_first(tab: Tab) -> None:
    box = tab.locator("textarea")
    box.focus()
    for text, keys in (
        ("قُتل ثلاثة جنود في هجوم بكركوك.", "Control+Enter"),
        ("التقى الوزير نظيره في القاهرة.", "Meta+Enter"),
    ):
        box.fill("")
        tab.keyboard.insert_text(text)
        tab.keyboard.press("j")  # is written, and goes to no event
        tab.keyboard.press("Backspace")
        tab.keyboard.press(keys)
        expect(tab.locator(".text")).to_have_text(text, timeout=WAIT)
        assert tab.locator(".article").count() == 1
        assert tab.text_content("#place") == str(tab.locator(".event").count())
        assert box.input_value() == text
    box.press("Shift+Tab")
    box.press("Tab")
    box.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "label"
    assert "event=" not in tab.url


def answering(status: int) -> Callable[[Route], None]:
    return lambda route: route.fulfill(status=status, body="{}")


def test_why_nothing_is_labelled_is_said_in_both_languages(tab: Tab) -> None:
    tab.click("#label")
    assert (tab.text_content("#refused") or "").startswith("لا يمكن قراءة هذا المقال")
    tab.click("text=English")
    assert (tab.text_content("#refused") or "").startswith("This article cannot be read")
    assert tab.get_by_role("alert").count() == 1
    for text, said in (("؟!", "no letter or digit, or more than 5000"), ("خبر " * 1_500, "more than 5000 characters")):
        tab.fill("textarea", text)
        tab.click("#label")
        expect(tab.locator("#refused")).to_contain_text(said, timeout=WAIT)
    tab.fill("textarea", "خبر")
    for status, said in ((429, "busy"), (503, "no time left"), (500, "could not be read"), (418, "could not be read")):
        tab.route("**/label*", answering(status))
        tab.click("#label")
        expect(tab.locator("#refused")).to_contain_text(said, timeout=WAIT)
        tab.unroute("**/label*")
    tab.route("**/label*", lambda route: route.abort())
    tab.click("#label")
    expect(tab.locator("#refused")).to_have_text("The service did not answer.", timeout=WAIT)
    tab.unroute("**/label*")
    tab.click("#label")
    tab.wait_for_selector(".article", timeout=WAIT)
    assert tab.text_content("#refused") == ""


def test_while_it_reads_a_wheel_turns_and_nothing_is_asked_twice(browser: Browser, labeller: Labeller) -> None:  # noqa: F811
    held = Held(labeller)
    with running(held) as port:
        tab = opened(browser, f"http://127.0.0.1:{port}/")
        tab.fill("textarea", "خبر")
        assert tab.locator(".spinner").is_hidden()
        tab.click("#label")
        tab.wait_for_selector(".spinner", state="visible")
        assert tab.locator("#busy").is_visible()
        assert tab.locator("#label").get_attribute("aria-disabled") == "true"
        tab.click("#label", force=True)
        tab.press("textarea", "Control+Enter")
        held.gate.set()
        tab.wait_for_selector(".article", timeout=WAIT)
        assert tab.locator(".spinner").is_hidden()
        tab.close()
    assert held.chunks == [["1"]]


def test_nothing_of_an_article_is_run_and_nobody_else_is_asked(browser: Browser, address: str) -> None:  # noqa: F811
    tab, heard, requests = overheard(browser)
    tab.goto(address)
    text = f"قصفت الطائرات مدينة حلب {HARM}"
    tab.fill("textarea", text)
    tab.click("#label")
    tab.wait_for_selector(".article", timeout=WAIT)
    shown = tab.locator(".text").evaluate("text => text.textContent")
    assert shown == tab.locator("textarea").input_value().replace("\0", "\ufffd")
    assert {url.partition("?")[0] for url in requests} <= {address, f"{address}label", "data:,"}
    assert heard == []
    assert tab.evaluate("typeof window.harm") == "undefined"
    blocked = "fetch('http://127.0.0.1:9/').then(() => 'sent', error => String(error))"
    assert "Failed to fetch" in tab.evaluate(blocked)
    assert any("Content Security Policy" in words or "violates" in words for words in heard)
    tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_of_the_box_can_be_read(browser: Browser, address: str, scheme: Any) -> None:  # noqa: F811
    tab = opened(browser, address, width=360, color_scheme=scheme)
    tab.click("#label")
    contrasts: list[tuple[str, float]] = tab.locator(".ask label, textarea, #label, .hint, #refused").evaluate_all(
        CONTRAST
    )
    assert len(contrasts) == 6
    assert [(text, contrast) for text, contrast in contrasts if contrast < 4.5] == []
    assert tab.evaluate("[document.documentElement.scrollWidth, scrollX]") == [360, 0]
    tab.close()
