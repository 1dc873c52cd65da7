"""«من سأل أُجيب، ومن أثقل رُدّ»: the service labels as offline prediction does, and refuses what would harm it."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from khabar.batcher import Batcher, Broken, Busy, Closed
from khabar.document import DataError, Document
from khabar.limits import Limits
from khabar.serve import serve
from khabar.tagger import Tagger
from serving import BREAKS, Held, Slow, running, same
from test_viewer import HARM

SECRET = "سر"
LIMITS = Limits(body=20_000, articles=4, characters=2_000, waiting=4, seconds=20, reading=1)


def url(port: int, path: str = "/label") -> str:
    return f"http://127.0.0.1:{port}{path}"


def post(port: int, body: Any, **options: Any) -> httpx.Response:
    return httpx.post(url(port), json=body, timeout=60, trust_env=False, **options)


def get(port: int, path: str) -> httpx.Response:
    return httpx.get(url(port, path), timeout=60, trust_env=False)


def soon(check: Callable[[], bool]) -> None:
    """Wait until it is so."""
    for _ in range(1000):
        if check():
            return
        time.sleep(0.01)
    raise AssertionError("it was never so")


@pytest.fixture(scope="module")
def offline(untrained: Tagger, documents: tuple[Document, ...]) -> dict[str, Document]:
    """What offline prediction says of each text."""
    plain = [Document(document.id, document.text) for document in documents]
    return {document.text: document for document in untrained.tag(plain)}


@pytest.fixture(scope="module")
def port(untrained: Tagger) -> Iterator[int]:
    """A service with small limits."""
    with running(untrained, LIMITS) as port:
        yield port


@pytest.fixture
def held(untrained: Tagger) -> Iterator[Held]:
    """A labeller that waits until its gate is opened."""
    held = Held(untrained)
    yield held
    held.gate.set()


# What is answered


def test_a_service_of_one_connection_answers_one(untrained: Tagger) -> None:
    with running(untrained, connections=1) as port:
        assert post(port, {"text": "وقع هجوم أمس."}).status_code == 200


def test_an_article_is_labelled_as_offline(port: int, offline: dict[str, Document]) -> None:
    for text, expected in offline.items():
        found = post(port, {"text": text, "id": expected.id}).json()
        assert found["errors"] == []
        assert same(found["articles"][0], expected)
    assert sum(len(list(document.mentions())) for document in offline.values()) > 10


def test_several_are_labelled_together_and_one_that_cannot_be_stops_none(
    port: int, offline: dict[str, Document]
) -> None:
    first, second, *_ = offline
    meta = {"source": "سانا", "عمق": [1, None, {"a": 1.5}]}
    answer = post(port, {"articles": [{"text": first, "id": "أ", "meta": meta}, {"text": " ؟! "}, {"text": second}]})
    assert answer.status_code == 200
    found = answer.json()
    assert [article["id"] for article in found["articles"]] == ["أ", "3"]
    assert [article["text"] for article in found["articles"]] == [first, second]
    assert found["articles"][0]["meta"] == meta
    assert found["errors"] == [{"number": 2, "id": "2", "reason": "no letter or digit"}]


def test_it_says_how_it_is_and_what_it_is(port: int, untrained: Tagger) -> None:
    assert get(port, "/health").json() == {"status": "ok", "waiting": 0}
    found = get(port, "/model").json()
    assert found["layers"] == list(untrained.reader.heads)
    assert found["ontology"] == untrained.reader.ontology.to_json()
    assert found["limits"] == LIMITS.to_json()


def test_a_fragment_to_read_escapes_everything(port: int) -> None:
    page = get(port, "/")
    assert "connect-src 'self'" in page.text
    assert page.headers["x-frame-options"] == "DENY"
    answer = post(port, {"text": f"قصفت {HARM}", "id": HARM[:200]}, params={"format": "html"})
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert 'class="article card"' in answer.text
    assert "<script" not in answer.text
    assert "<img" not in answer.text


# What is refused

REFUSED: dict[str, tuple[bytes, int, str]] = {
    "no JSON": (b"{", 422, "JSON"),
    "no object": (b"[]", 422, ""),
    "nothing": (b"", 422, ""),
    "no UTF-8": (b'{"text": "\xff"}', 400, ""),
    "no text": (b"{}", 422, "text"),
    "text is no string": (b'{"text": 3}', 422, "text"),
    "both": ('{"text": "خبر", "articles": []}'.encode(), 422, ""),
    "another key": ('{"text": "خبر", "txt": 1}'.encode(), 422, "txt"),
    "no articles": (b'{"articles": []}', 422, "articles"),
    "no letter": ('{"text": "؟!"}'.encode(), 422, "no letter or digit"),
    "empty": (b'{"text": ""}', 422, "empty"),
    "half a surrogate": (b'{"text": "a\\ud800"}', 422, "lone surrogate"),
    "half a surrogate as id": (b'{"text": "a", "id": "\\ud800"}', 422, "body.article.id"),
    "half a surrogate as key": (b'{"text": "a", "\\ud800": 1}', 422, "body.article"),
    "metadata that is no JSON": (b'{"text": "a", "meta": {"x": NaN}}', 422, "JSON"),
    "deep metadata": (b'{"text": "a", "meta": {"x": ' + b"[" * 120 + b"]" * 120 + b"}}", 422, "deeper than 100"),
    "deeper than the parser": (b"[" * 9_000 + b"]" * 9_000, 400, ""),
    "too long": (b'{"text": "' + b"a" * 2_001 + b'"}', 422, "2,001 characters: longer than 2,000"),
    "too many": (b'{"articles": [' + b",".join([b'{"text": "a"}'] * 5) + b"]}", 422, "5 articles: expected at most 4"),
    "too large": (b'{"text": "' + b"a" * 20_000 + b'"}', 413, "20,000 bytes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_labelled_is_refused_with_a_reason(case: str, port: int) -> None:
    body, status, reason = REFUSED[case]
    answer = httpx.post(url(port), content=body, headers={"content-type": "application/json"}, trust_env=False)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"reason", "errors"}
    assert reason in answer.json()["reason"]


def test_what_is_no_request_for_labels_is_refused(port: int) -> None:
    assert get(port, "/label").status_code == 405
    assert get(port, "/nowhere").json() == {"reason": "Not Found", "errors": []}
    plain = {"content-type": "text/plain"}  # which other sites' pages may send without asking
    answer = httpx.post(url(port), content='{"text": "خبر"}'.encode(), headers=plain, trust_env=False)
    assert answer.status_code == 422
    assert post(port, {"text": "خبر"}, params={"format": "xml"}).status_code == 422


def spoken(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send bytes as they are and read until the other side has closed."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        try:
            for part in parts:
                line.sendall(part)
                time.sleep(pause)
        except OSError:
            pass  # it has closed already
        try:
            while part := line.recv(1 << 16):
                found += part
        except ConnectionResetError:
            pass
    return found


HEAD = b"POST /label HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GARBAGE: dict[str, tuple[tuple[bytes, ...], bytes]] = {
    "no HTTP": ((b"\x16\x03\x01\x02\x00\x01\xfc\x03\x03" + bytes(range(256)) + b"\r\n\r\n",), b"400"),
    "endless head": ((b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000,), b"400"),
    "two lengths": ((HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",), b"400"),
    "length that is none": ((HEAD + b"Content-Length: -5\r\n\r\n{}",), b"400"),
    "chunk that is none": ((HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",), b"400"),
    "declared too large": ((HEAD + b"Content-Length: 99999999999\r\n\r\n{",), b"413"),
    "too large without saying so": (
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1000\r\n" + b" " * 4096 + b"\r\n"] * 9),
        b"413",
    ),
}


@pytest.mark.parametrize("case", GARBAGE)
def test_garbage_is_answered_and_does_no_harm(case: str, port: int) -> None:
    parts, status = GARBAGE[case]
    answer = spoken(port, *parts)
    assert answer == b"" or answer.split()[1] == status
    assert get(port, "/health").json()["status"] == "ok"


def test_who_sends_too_slowly_is_not_waited_for(port: int) -> None:
    began = time.monotonic()
    trickle = [b" "] * 25
    answer = spoken(port, HEAD + b"Content-Length: 1000\r\n\r\n", *trickle, pause=0.1)
    assert answer.split()[1] == b"408"
    assert b"within 1 s" in answer
    assert spoken(port, b"POST /label HTTP/1.1\r\n", *[b"X: y\r\n"] * 25, pause=0.1) == b""
    assert spoken(port, b"") == b""
    assert time.monotonic() - began < 15
    assert get(port, "/health").json()["status"] == "ok"


# Many at a time


def test_what_comes_together_is_labelled_together(held: Held, offline: dict[str, Document]) -> None:
    texts = list(offline)[:6]
    with running(held) as port, ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(post, port, {"text": texts[0], "id": "first"})]
        assert held.entered.wait(20)
        answers += [clients.submit(post, port, {"text": text, "id": text[:9]}) for text in texts[1:]]
        soon(lambda: get(port, "/health").json()["waiting"] == 5)
        held.gate.set()
        for text, answer in zip(texts, answers, strict=True):
            found = answer.result().json()["articles"][0]
            assert same(found | {"id": offline[text].id}, offline[text])
    assert [len(chunk) for chunk in held.chunks] == [1, 5]


def test_who_comes_when_too_many_wait_is_told_when_to_come_back(held: Held) -> None:
    with running(held, LIMITS) as port, ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(post, port, {"text": "خبر"})]
        assert held.entered.wait(20)
        answers += [clients.submit(post, port, {"articles": [{"text": "خبر"}] * 2}) for _ in range(2)]
        soon(lambda: get(port, "/health").json()["waiting"] == 4)
        refused = post(port, {"text": "خبر"})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert "too many articles wait" in refused.json()["reason"]
        held.gate.set()
        assert [answer.result().status_code for answer in answers] == [200] * 3
        assert post(port, {"text": "خبر"}).status_code == 200


def test_what_could_not_be_labelled_in_time_is_refused_at_once(untrained: Tagger) -> None:
    article = {"text": "خبر " * 100}  # half a second
    with running(Slow(untrained), Limits(seconds=3)) as port, ThreadPoolExecutor(16) as clients:
        assert post(port, article).status_code == 200  # before which nobody knows how long it takes
        answers = list(clients.map(lambda _: post(port, article), range(16)))
        assert {answer.status_code for answer in answers} == {200, 429}
        for answer in answers:
            if answer.status_code == 429:
                assert answer.elapsed.total_seconds() < 2
                assert 1 <= int(answer.headers["retry-after"]) <= 3
        began = time.monotonic()
        long = post(port, {"text": "خبر " * 2_500})
        assert (long.status_code, time.monotonic() - began < 2) == (413, True)
        assert "longer than an answer may (3 s)" in long.json()["reason"]
        assert post(port, article).status_code == 200


def test_whose_time_is_over_is_not_labelled(held: Held, caplog: pytest.LogCaptureFixture) -> None:
    with running(held, Limits(seconds=0.5)) as port:
        for name in ("أول", "ثان"):
            answer = post(port, {"text": "خبر", "id": name})
            assert (answer.status_code, answer.json()["reason"]) == (503, "not labelled within 0.5 s")
        held.gate.set()
        assert post(port, {"text": "خبر", "id": "ثالث"}).status_code == 200
    gc.collect()  # what asyncio says of an error that nobody was told, it says then
    assert held.chunks == [["أول"], ["ثالث"]]
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_whose_client_went_away_is_not_labelled(held: Held) -> None:
    with running(held, LIMITS) as port, ThreadPoolExecutor(2) as clients:
        first = clients.submit(post, port, {"text": "خبر", "id": "أول"})
        assert held.entered.wait(20)
        body = json.dumps({"articles": [{"text": "خبر", "id": "راحل"}] * 4}).encode()
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            soon(lambda: get(port, "/health").json()["waiting"] == 4)
        time.sleep(0.2)
        last = clients.submit(post, port, {"text": "خبر", "id": "ثالث"})  # for which there is room again
        soon(lambda: get(port, "/health").json()["waiting"] == 1)
        held.gate.set()
        assert (first.result().status_code, last.result().status_code) == (200, 200)
    assert held.chunks == [["أول"], ["ثالث"]]


def test_an_article_that_breaks_the_labeller_breaks_its_request_alone(
    held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with running(held) as port, ThreadPoolExecutor(8) as clients:
        first = clients.submit(post, port, {"text": "خبر"})
        assert held.entered.wait(20)
        broken = clients.submit(post, port, {"text": f"{SECRET} {BREAKS}", "id": "شر"})
        whole = [clients.submit(post, port, {"text": f"خبر {SECRET} {number}"}) for number in range(3)]
        soon(lambda: get(port, "/health").json()["waiting"] == 4)
        held.gate.set()
        assert [one.result().status_code for one in (first, *whole)] == [200] * 4
        assert broken.result().status_code == 500
        assert broken.result().json()["reason"] == "the labeller failed on the article 'شر'"
    said = caplog.text
    assert f"article {'شر'!a} of 8 characters: ValueError at stream (serving.py:" in said
    assert SECRET not in said
    assert "POST /label: 200, " in said


def test_nothing_that_was_sent_is_in_the_log(port: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpcore").setLevel(logging.INFO)  # the client's own
    logging.getLogger("httpx").setLevel(logging.WARNING)
    post(port, {"text": f"خبر {SECRET}"})
    post(port, {"text": [SECRET], SECRET: SECRET})
    post(port, {"text": "خبر"}, params={SECRET: SECRET})
    httpx.get(url(port, f"/{SECRET}"), headers={"x": "secret"}, trust_env=False)
    httpx.request("SECRET", url(port), trust_env=False)
    soon(lambda: caplog.text.count(" bytes, ") == 5)
    assert not any(word in caplog.text for word in (SECRET, "secret", "SECRET", "%D8%B3"))


def test_many_clients_get_what_offline_prediction_says(untrained: Tagger, offline: dict[str, Document]) -> None:
    texts, until, turn = list(offline), time.monotonic() + 3, count()

    def client(port: int) -> list[bool]:
        found = []
        with httpx.Client(trust_env=False, timeout=60) as session:
            while time.monotonic() < until:
                text = texts[next(turn) % len(texts)]
                answer = session.post(url(port), json={"text": text, "id": offline[text].id})
                found.append(answer.status_code == 200 and same(answer.json()["articles"][0], offline[text]))
        return found

    with running(untrained) as port, ThreadPoolExecutor(16) as clients:
        found = [one for client in clients.map(client, [port] * 16) for one in client]
    assert len(found) >= 16
    assert all(found)


# Begin and end


def test_a_stop_answers_what_was_accepted(untrained: Tagger, tmp_path: Path) -> None:
    untrained.save(tmp_path / "model")
    code = (
        "import logging, sys; from khabar.serve import serve; "
        "logging.basicConfig(level=logging.INFO, stream=sys.stdout, format='%(message)s'); "
        f"serve({str(tmp_path / 'model')!r}, port=0, device='cpu')"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        address = next(line for line in process.stdout if line.startswith("http://127.0.0.1:"))
        port = int(address.rsplit(":", 1)[1])
        body = {"articles": [{"text": "قصفت الطائرات مدينة حلب أمس. " * 5}] * 32}
        with ThreadPoolExecutor(3) as clients:
            answers = [clients.submit(post, port, body) for _ in range(3)]
            soon(lambda: get(port, "/health").json()["waiting"] > 32)
            process.send_signal(signal.SIGTERM)
            assert [answer.result().status_code for answer in answers] == [200] * 3
            assert all(len(answer.result().json()["articles"]) == 32 for answer in answers)
        assert process.wait(60) == 0
        assert process.stdout.read().splitlines()[-1] == "stopped"


def test_a_batcher_that_is_closed_or_dead_leaves_nobody_waiting(held: Held) -> None:
    batcher = Batcher(held, room=2)
    with pytest.raises(Closed):
        batcher.submit([Document("1", "خبر")])
    batcher.start()
    (first,) = batcher.submit([Document("1", BREAKS)])
    assert held.entered.wait(20)
    batcher.submit([Document("2", "خبر"), Document("3", "خبر")])
    with pytest.raises(Busy):
        batcher.check()
    held.gate.set()
    closing = threading.Thread(target=batcher.close)
    closing.start()
    with pytest.raises(Broken):
        first.result(20)
    closing.join(20)
    assert (batcher.waiting, batcher.alive) == (0, False)
    assert held.chunks[-1] == ["2", "3"]
    with pytest.raises(Closed):
        batcher.check()


class Ends(BaseException):
    pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_whatever_ends_the_thread_is_told_to_who_waits(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(*_: Any, **__: Any) -> None:
        assert held.gate.wait(20)
        raise Ends

    monkeypatch.setattr(held, "stream", ends)
    batcher = Batcher(held)
    batcher.start()
    (first,) = batcher.submit([Document("1", "خبر")])
    soon(lambda: batcher.waiting == 0)
    (second,) = batcher.submit([Document("2", "خبر")])
    held.gate.set()
    for future in (first, second):
        with pytest.raises(Closed):
            future.result(20)
    batcher.close()
    assert not batcher.alive


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(DataError, match="cannot listen there"):
        serve(tmp_path, port=taken.getsockname()[1])
    for settings in ({"articles": 300}, {"body": 0}, {"seconds": float("nan")}, {"connections": 0}):
        with pytest.raises(DataError, match=next(iter(settings))):
            serve(tmp_path, port=0, **settings)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(DataError, match=r"pip install 'khabar\[serve\]'"):
        serve(tmp_path)
