"""Serve a model over HTTP, on this machine alone unless told otherwise."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from khabar.backends import load
from khabar.document import DataError
from khabar.labeller import BATCH_TOKENS
from khabar.limits import Limits

if TYPE_CHECKING:
    import uvicorn

__all__ = ["serve", "server"]

log = logging.getLogger(__name__)
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_FIRST = "قصفت الطائرات مدينة حلب أمس."  # labelled before anybody asks: the first time takes longer
_IDLE = 5  # seconds that a connection may rest between two requests


def serve(
    checkpoint: Path | str,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: str = "auto",
    backend: str = "auto",
    precision: str = "auto",
    batch_tokens: int = BATCH_TOKENS,
    body: int = 1 << 20,
    articles: int = 32,
    characters: int = 100_000,
    waiting: int = 256,
    seconds: float = 60.0,
    reading: float = 10.0,
    connections: int = 256,
) -> None:
    """Serve until the process is told to stop (SIGTERM, SIGINT); what was accepted by then is answered first.

    Args:
        checkpoint: a model folder that training or `khabar.export` wrote.
        host: the address to listen on. The service asks nobody who they are: to the outside through a proxy that does.
        port: 0 is any free one; the log says which.
        device: ``auto``, ``cpu`` or ``cuda``.
        backend: ``torch``, ``onnx``, or ``auto``: the one whose weights the folder holds.
        precision: of PyTorch: ``auto`` is bf16 where the processor or GPU has units for it.
        batch_tokens: subwords in a batch, padding counted.
        body: bytes of a request; 413.
        articles: of a request; 422.
        characters: of an article; 422.
        waiting: articles that wait to be labelled, of all requests; 429.
        seconds: from a request to its answer; 503. What could not be labelled within half of it, for what waits
            already, is refused at once with 429; what could not even alone, with 413.
        reading: seconds in which the head of a request must have come, and then its body; 408.
        connections: at a time; 503.

    Raises `DataError` where ``khabar[serve]`` is not installed, a limit is none or the port is taken, and its
    `khabar.contract.ModelError` for a model that cannot be used.

    """
    limits = Limits(body, articles, characters, waiting, seconds, reading)
    if batch_tokens < 1 or connections < 1:
        raise DataError(f"batch_tokens={batch_tokens}, connections={connections}: expected numbers from 1")
    try:
        import uvicorn  # noqa: F401 (to say early that it is not there)

        from khabar.service import app
    except ImportError as error:
        raise DataError(f"the service needs {error.name}: pip install 'khabar[serve]'") from None
    with _listening(host, port) as listening:
        labeller = load(checkpoint, device, backend, precision)
        labeller.label(_FIRST)
        application = app(labeller, limits, batch_tokens)
        if host not in _LOOPBACK:
            log.warning(
                "%s: whoever reaches this address is answered: put a proxy in front that asks who they are", host
            )
        place = listening.getsockname()
        log.info("http://%s:%d", f"[{place[0]}]" if ":" in place[0] else place[0], place[1])
        with _quiet_signals():
            server(application, limits, connections).run(sockets=[listening])
    log.info("stopped")


def server(application: Any, limits: Limits, connections: int = 256) -> uvicorn.Server:
    """The server of an ASGI application: a connection whose request does not come within ``reading`` is closed."""
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Hurried(H11Protocol):
        """HTTP/1.1; uvicorn itself would wait for the head of a request for ever."""

        late: Any = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.late = self.loop.call_later(limits.reading, self.hurry)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                if self.late:
                    self.late.cancel()
                self.late = None
            elif self.late is None:  # the head of a further request has begun to come
                self.late = self.loop.call_later(limits.reading, self.hurry)

        def connection_lost(self, exc: Exception | None) -> None:
            if self.late:
                self.late.cancel()
            super().connection_lost(exc)

        def hurry(self) -> None:
            self.late = None
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

    return uvicorn.Server(
        uvicorn.Config(
            application,
            http=Hurried,
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="warning",
            access_log=False,  # addresses may hold what was asked
            server_header=False,
            proxy_headers=False,
            limit_concurrency=connections + 1,  # uvicorn counts the one that asks before it compares
            timeout_keep_alive=_IDLE,
            timeout_graceful_shutdown=int(limits.seconds + limits.reading) + 1,
        )
    )


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise DataError(f"host={host}, port={port}: cannot listen there: {error}") from None
    with listening:
        yield listening


@contextmanager
def _quiet_signals() -> Iterator[None]:
    """When it has stopped, uvicorn raises the signal that stopped it anew, which would be an end with an error."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
