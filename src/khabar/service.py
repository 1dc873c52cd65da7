"""The HTTP service: ``POST /label``, ``GET /health``, ``GET /model``, and a page with a box to paste an article into.

Needs the extra ``khabar[serve]``. Nothing of an article, an address or a header goes into a log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

import khabar
from khabar import viewer
from khabar.batcher import Batcher, Broken, Busy, Closed, Long
from khabar.document import Document
from khabar.guard import Guard
from khabar.labeller import BATCH_TOKENS, Labeller
from khabar.limits import Limits
from khabar.messages import Answer, Article, Articles, Body, Bounds, Health, Model, Refusal, declared, problem
from khabar.sources import Refused, readable

__all__ = ["app"]


def app(labeller: Labeller, limits: Limits | None = None, batch_tokens: int = BATCH_TOKENS) -> FastAPI:
    """The service of a labeller, which belongs to it from when it starts until it is stopped.

    Requests that come together are labelled together. A stop answers what was accepted first.
    """
    bounds = limits or Limits()
    batcher = Batcher(labeller, bounds.waiting, batch_tokens, bounds.seconds)
    ontology = labeller.reader.ontology

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        try:
            yield
        finally:
            await asyncio.to_thread(batcher.close)

    service = FastAPI(
        title="khabar",
        version=khabar.__version__,
        summary="Entities, events and their arguments in Arabic news.",
        description=f"A request has at most {bounds.body:,} bytes and {bounds.articles} articles of at most "
        f"{bounds.characters:,} characters. Offsets are half-open ranges of Unicode code points into the text.",
        lifespan=lifespan,
        docs_url=None,  # its page would load scripts from other hosts
        redoc_url=None,
    )
    service.add_middleware(Guard, limits=bounds, batcher=batcher)

    @service.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        # What was sent is not repeated.
        found = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}"[:200] for one in error.errors()[:5]]
        return problem(422, "; ".join(found).encode(errors="backslashreplace").decode())

    @service.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        answer = problem(error.status_code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    @service.post(
        "/label",
        response_model=Answer,
        response_model_exclude_none=True,
        responses={
            200: {"content": {"text/html": {"schema": {"type": "string"}}}},
            **declared(400, 408, 413, 422, 429, 500, 503),
        },
        summary="Label one article or several",
    )
    async def label(
        request: Request,
        body: Body,
        format: Annotated[  # noqa: A002 (the name of the parameter)
            Literal["json", "html"], Query(description="html: a fragment to read, as the page at / shows it")
        ] = "json",
    ) -> Response:
        """An article that cannot be labelled does not stop the others: ``errors`` says why. Where none can be, 422."""
        records = body.articles if isinstance(body, Articles) else [body]
        if len(records) > bounds.articles:
            return problem(422, f"{len(records)} articles: expected at most {bounds.articles}")
        documents, errors = _documents(records, bounds.characters)
        if not documents:
            return problem(422, errors[0].reason, errors)
        try:
            labelled = await _labelled(request, batcher.submit(documents), bounds.seconds)
        except Busy as busy:
            return problem(429, str(busy), retry=busy.seconds)
        except Long as long:
            return problem(413, str(long))
        except Closed:
            return problem(503, "the service is stopping")
        except Broken as broken:
            return problem(500, f"the labeller failed on the article {str(broken)!r}")
        if labelled is None:
            return problem(503, f"not labelled within {bounds.seconds:g} s")
        if format == "html":
            text = await asyncio.to_thread(viewer.fragment, labelled, ontology)
            return HTMLResponse(text, headers={"Content-Security-Policy": "default-src 'none'"})
        return JSONResponse(
            {"articles": [one.to_json() for one in labelled], "errors": [one.model_dump() for one in errors]}
        )

    stopping: dict[int | str, dict[str, Any]] = {503: {"model": Health, "description": "The service is stopping"}}

    @service.get("/health", response_model=Health, responses=stopping, summary="Whether the service labels")
    async def health() -> Response:
        alive = batcher.alive
        found = Health(status="ok" if alive else "stopping", waiting=batcher.waiting)
        return JSONResponse(found.model_dump(), 200 if alive else 503)

    @service.get("/model", summary="What labels, and what a request may be")
    async def model() -> Model:
        return Model(
            khabar=khabar.__version__,
            device=labeller.device_type,
            precision=labeller.precision,
            layers=list(labeller.reader.heads),
            ontology=ontology.to_json(),
            meta=labeller.meta,
            limits=Bounds(**bounds.to_json()),
        )

    page = viewer.desk(bounds.characters)

    @service.get("/", response_class=HTMLResponse, summary="A page to paste an article into")
    async def desk() -> HTMLResponse:
        return HTMLResponse(page)

    return service


def _documents(records: Sequence[Article], longest: int) -> tuple[list[Document], list[Refusal]]:
    """What of a request can be labelled, by the rules of `khabar.sources`, and what cannot."""
    documents, errors = [], []
    for number, one in enumerate(records, start=1):
        name = one.id or str(number)
        found = readable({"id": name, "text": one.text, "meta": one.meta or {}}, f"article {number}", longest)
        if isinstance(found, Refused):
            errors.append(Refusal(number=number, id=found.id, reason=found.reason))
        else:
            documents.append(found)
    return documents, errors


async def _labelled(request: Request, futures: Sequence[Future[Document]], seconds: float) -> list[Document] | None:
    """Wait for the labelled documents; ``None`` where the client went away or the time is over.

    Those whose turn has not come by then are not labelled.
    """
    answer = asyncio.gather(*map(asyncio.wrap_future, futures))
    answer.add_done_callback(lambda one: one.cancelled() or one.exception())  # nobody may be left to be told
    gone = asyncio.ensure_future(request.receive())  # after the body comes nothing but the end of the connection
    try:
        both: set[asyncio.Future[Any]] = {answer, gone}
        await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else None
    finally:
        gone.cancel()
        answer.cancel()
        for future in futures:
            future.cancel()
