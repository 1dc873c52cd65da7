"""What stands before the service: requests are read within bounds, and no error and no text of an article gets out."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from khabar.batcher import Batcher, Busy, Closed, frames
from khabar.limits import Limits
from khabar.messages import problem

__all__ = ["Guard"]

log = logging.getLogger(__name__)
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff", "x-frame-options": "DENY"}
_LINGER = 1.0  # seconds in which what a refused client still sends is thrown away, so that it reads why
_KNOWN = {"/", "/label", "/health", "/model", "/openapi.json"}  # what of an address goes into the log
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}


class Guard:
    """Reads bodies within bounds of size and time, logs what was answered, and lets no error out."""

    def __init__(self, app: ASGIApp, limits: Limits, batcher: Batcher) -> None:
        self._app, self._limits, self._batcher = app, limits, batcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, size = time.monotonic(), 0, 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in _HEADERS.items())]
            await send(message)

        try:
            body = await self._body(scope, receive)
            if isinstance(body, Response):
                await _refuse(body, receive, sending)
            elif body is not None:
                size = len(body)
                await self._app(scope, _replayed(body, receive), sending)
        except Exception as error:  # its message may quote the text
            log.error("%s at %s", type(error).__name__, frames(error))
            if not status:
                await problem(500, "internal error")(scope, receive, sending)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "-"
            path = scope["path"] if scope["path"] in _KNOWN else "-"
            log.info("%s %s: %d, %d bytes, %.3f s", method, path, status, size, time.monotonic() - began)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | Response | None:
        """The body; the answer where it is refused; ``None`` where the client went away."""
        most = self._limits.body
        lengths = [value for name, value in scope["headers"] if name == b"content-length" and value.isdigit()]
        too_large = problem(413, f"a body of more than {most:,} bytes")
        if any(len(value) > 18 or int(value) > most for value in lengths):
            return too_large
        if scope["path"] == "/label" and scope["method"] == "POST":
            try:
                self._batcher.check()
            except Busy as busy:
                return problem(429, str(busy), retry=busy.seconds)
            except Closed:
                return problem(503, "the service is stopping")
        parts = bytearray()
        try:
            async with asyncio.timeout(self._limits.reading):
                more = True
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    parts += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(parts) > most:
                        return too_large
        except TimeoutError:
            return problem(408, f"the body did not come within {self._limits.reading:g} s")
        return bytes(parts)


async def _refuse(answer: Response, receive: Receive, send: Send) -> None:
    """Answer a client that is still sending, and end the connection.

    Closed at once, the connection would be reset, and the client might never read the answer.
    """
    headers = [*answer.raw_headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER):
            more = True
            while more:
                message = await receive()
                more = message["type"] == "http.request" and message.get("more_body", False)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The messages of a request whose body was read."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
