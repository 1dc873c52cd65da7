"""The templates of the pages: they escape everything, and a page runs no script but the one it was made with."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["digest", "environment", "source"]


@cache
def environment() -> Environment:
    """The templates; a name that they do not get fails."""
    return Environment(
        loader=PackageLoader("khabar"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


@cache
def source(*names: str) -> Markup:
    """Files of the templates as they stand, one after the other, to be put into a page unescaped."""
    folder = files("khabar") / "templates"
    return Markup("".join((folder / name).read_text(encoding="utf-8") for name in names))


def digest(code: str) -> str:
    """What a page's policy calls a script or style element, which must hold ``code`` and nothing else."""
    return f"sha256-{b64encode(sha256(code.encode()).digest()).decode()}"
