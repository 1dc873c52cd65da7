"""What MkDocs does beyond the pages of this folder: pages that stand elsewhere or are generated, and a last look.

A page that stands elsewhere in the repository is shown, not copied: a line in `PAGES`. Its links are followed from
where it stands; one to a file that is no page of the site becomes the file's name.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from config_reference import page

ROOT = Path(__file__).parents[1]
PAGES = {  # where it stands -> its name on the site
    "README.md": "manual.md",
    "CONTRIBUTING.md": "design.md",
    "CHANGELOG.md": "changelog.md",
    "data/ahdath/README.md": "data-card.md",
    "data/ahdath/GUIDELINES.md": "guidelines.md",
    "src/khabar/compact/README.md": "model-card.md",
}
_LINK = re.compile(r"(?P<image>!?)\[(?P<words>[^\]]*)\]\((?P<target>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")
_LOADED = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|data|srcset)\s*=\s*[\"']?((?:https?:)?//[^\"'\s>]+)"
    r"|<link\b(?![^>]*\brel=[\"']?canonical)[^>]*?\bhref\s*=\s*[\"']?((?:https?:)?//[^\"'\s>]+)"
    r"|(?:\burl\(\s*|@import\s*)[\"']?((?:https?:)?//[^\"'\s)]+)",
    re.I,
)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are not in this folder."""
    for place, name in PAGES.items():
        text = (ROOT / place).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=followed(text, place)))
    files.append(File.generated(config, "configuration.md", content=page(ROOT / "configs")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Leave out the marks between which the tests find outputs."""
    return re.sub(r"^<!-- (?:output|end) -->\n?", "", markdown, flags=re.M)


def on_post_build(config: Any) -> None:
    """Raise where a page of the site would load anything from another host."""
    site = Path(config.site_dir)
    found = [
        f"{path.relative_to(site)}: {''.join(address)}"
        for path in sorted(site.rglob("*"))
        if path.suffix in (".html", ".css", ".svg")
        for address in _LOADED.findall(path.read_text(encoding="utf-8"))
    ]
    if found:
        raise PluginError("the site loads from other hosts:\n" + "\n".join(found))


def followed(text: str, place: str) -> str:
    """A page with its relative links as they are from the top of the site."""

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(place), found["target"]))
        name = PAGES.get(target, target.removeprefix("docs/") if target.startswith("docs/") else "")
        if name:
            return f"{found['image']}[{found['words']}]({name}{found['anchor'] or ''})"
        if not (ROOT / target).exists():
            raise PluginError(f"{place}: {found[0]}: there is no {target}")
        return f"{found['words']} (`{target}`)"

    return _LINK.sub(link, text)
