"""What a request of the service may be."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from khabar.document import DataError

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may be; raises `DataError` for what is no limit.

    ``body``: bytes of a request. ``articles``: of a request. ``characters``: of an article. ``waiting``: articles that
    wait for the labeller, of all requests. ``seconds``: from a request to its answer. ``reading``: seconds in which the
    head of a request must have come, and then its body.
    """

    body: int = 1 << 20
    articles: int = 32
    characters: int = 100_000
    waiting: int = 256
    seconds: float = 60.0
    reading: float = 10.0

    def __post_init__(self) -> None:
        for name, value in self.to_json().items():
            if not value > 0:
                raise DataError(f"{name}={value}: expected a number above 0")
        if self.articles > self.waiting:
            raise DataError(f"articles={self.articles}: a request of so many could never wait (waiting={self.waiting})")

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)
