"""What the service reads and answers, as its OpenAPI describes it (``khabar[serve]``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

__all__ = [
    "Answer",
    "Article",
    "Articles",
    "Body",
    "Bounds",
    "Health",
    "Model",
    "Problem",
    "Refusal",
    "declared",
    "problem",
]

_TEXT = "قصفت الطائرات مدينة حلب أمس."


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Article(_Strict):
    """An article to label; without an id its number in the request, from 1, is its id. ``meta`` is passed through."""

    text: str = Field(description="At least one letter or digit.", examples=[_TEXT])
    id: str | None = Field(None, min_length=1, max_length=200, examples=["خبر-1"])
    meta: dict[str, Any] | None = Field(None, examples=[{"source": "سانا", "year": 2016}])


class Articles(_Strict):
    """Several articles to label together."""

    articles: list[Article] = Field(min_length=1)


def _kind(body: Any) -> str:
    return "articles" if isinstance(body, dict) and "articles" in body else "article"


# Which of the two a body is meant to be is seen first, so that what is wrong with it is said of that one alone.
Body = Annotated[Annotated[Article, Tag("article")] | Annotated[Articles, Tag("articles")], Discriminator(_kind)]


class Entity(_Strict):
    """A named thing: code points ``start`` to ``end`` of the text, half open."""

    start: int = Field(ge=0, examples=[20])
    end: int = Field(ge=1, examples=[23])
    type: str = Field(examples=["GPE"])
    score: float | None = Field(None, ge=0, le=1, examples=[0.9912])


class Argument(_Strict):
    """What takes part in an event, and as what."""

    start: int = Field(ge=0, examples=[5])
    end: int = Field(ge=1, examples=[13])
    role: str = Field(examples=["Attacker"])
    score: float | None = Field(None, ge=0, le=1, examples=[0.9134])


class Happening(_Strict):
    """An event: the word that tells of it, with the type, and its arguments."""

    trigger: Entity = Field(examples=[{"start": 0, "end": 4, "type": "Conflict:Attack", "score": 0.98}])
    arguments: list[Argument]


class Labelled(_Strict):
    """An article in khabar's native format; a layer that the model does not answer is left out."""

    id: str
    text: str = Field(examples=[_TEXT])
    entities: list[Entity] | None = None
    events: list[Happening] | None = None
    meta: dict[str, Any] | None = None


class Refusal(_Strict):
    """An article that was not labelled: its number in the request, from 1, its id and why."""

    number: int = Field(ge=1, examples=[2])
    id: str | None = Field(examples=["خبر-2"])
    reason: str = Field(examples=["no letter or digit"])


class Answer(_Strict):
    """The labelled articles in the order of the request, and those that were refused."""

    articles: list[Labelled]
    errors: list[Refusal]


class Problem(_Strict):
    """Why nothing was labelled."""

    reason: str = Field(examples=["more than 32 articles"])
    errors: list[Refusal] = Field(default_factory=list)


class Health(_Strict):
    """Whether the service labels, and how many articles wait."""

    status: Literal["ok", "stopping"]
    waiting: int = Field(ge=0)


class Bounds(_Strict):
    """What a request may be: bytes, articles of a request, characters of an article, seconds."""

    body: int
    articles: int
    characters: int
    waiting: int
    seconds: float
    reading: float


class Model(_Strict):
    """What labels, what it finds, and what a request may be."""

    khabar: str = Field(description="The version of khabar.")
    device: str
    precision: str
    layers: list[str] = Field(description="The heads of the model.", examples=[["entities", "triggers", "arguments"]])
    ontology: dict[str, Any] = Field(description="Entity types with their glosses; event types with gloss and roles.")
    meta: dict[str, Any] = Field(description="What the model was trained on, and its scores.")
    limits: Bounds


def problem(status: int, reason: str, errors: Sequence[Refusal] = (), retry: int | None = None) -> JSONResponse:
    """The answer of a request that labels nothing; ``retry`` is when to come back, in seconds."""
    headers = {} if retry is None else {"Retry-After": str(retry)}
    return JSONResponse(Problem(reason=reason, errors=list(errors)).model_dump(), status, headers)


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What `problem` answers with these statuses, for the description of a path."""
    retry = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer", "minimum": 1}}}
    said = {
        400: "Not UTF-8, or JSON that is nested too deeply",
        408: "The body came too slowly",
        413: "The body is too large, or labelling it would take longer than an answer may",
        422: "Not JSON, or nothing in it can be labelled",
        429: "Too many articles wait: come back later",
        500: "The labeller failed on an article",
        503: "No time was left, or the service is stopping",
    }
    return {
        status: {"model": Problem, "description": said[status]} | ({"headers": retry} if status == 429 else {})
        for status in statuses
    }
