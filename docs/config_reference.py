"""The configuration reference: every key of ``configs/`` with its default and the comment beside it, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import yaml

__all__ = ["Key", "keys", "page"]

_GROUPS = {  # what each group is for; a group that is not named here fails the build
    "model": "What is fine-tuned. Any other encoder: `model.encoder=NAME_OR_FOLDER`.",
    "task": "Which layers the model answers, and how it reads.",
    "data": "Where a corpus is, and how it is prepared.",
    "ontology": "Entity types with their glosses; event types with their gloss and roles.",
    "trainer": "The Hugging Face `Trainer`.",
    "peft": "What of the encoder is trained.",
    "labels": "Names that a gold standard of another ontology has for ours.",
    "engine": "Where `predict` computes: in its own process, or on a cluster.",
    "experiment": "Settings of several groups at once: `experiment=NAME`.",
    "hparams_search": "What a sweep searches: `--multirun hparams_search=NAME`.",
    "hydra": "Where a run's files go.",
    "hydra/sweeper": "How a sweep searches.",
    "hydra/launcher": "Where the runs of a sweep, or of `-m`, compute: `hydra/launcher=NAME`.",
}
_GLOBAL = ("ontology", "labels", "experiment", "hparams_search")  # keys stand as written, not below the group's name
_OURS = re.compile(r"\bkhabar(?:\.[A-Za-z_]\w*)+")


class Key(NamedTuple):
    """One line of a configuration file: a dotted name, its default as written, and what is said beside it."""

    name: str
    default: str
    comment: str


def page(configs: Path) -> str:
    """The whole page. Raises `KeyError` for a group that this module has no words for."""
    parts = [
        "# Configuration reference",
        "Generated from `configs/`. Scripts are configured by [Hydra](https://hydra.cc): a group is chosen with "
        "`GROUP=NAME`, a key is set with `KEY=VALUE`, keys that do not exist fail, and `--cfg job` prints what a "
        "command would run with. `???` must be given, `null` is nothing.",
        "## Scripts { #scripts }",
    ]
    for path in sorted(configs.glob("*.yaml")):
        parts += [f"### scripts/{path.stem}.py {{ #{path.stem} }}", *_file(path, "")]
    groups = {path.relative_to(configs).as_posix() for path in configs.rglob("*") if path.is_dir()}
    for group in sorted(groups, key=list(_GROUPS).index):
        anchor, prefix = group.replace("/", "-"), "" if group in _GLOBAL else f"{group.replace('/', '.')}."
        parts += [f"## {group} {{ #{anchor} }}", _GROUPS[group]]
        for path in sorted((configs / group).glob("*.yaml")):
            parts += [f"### {group}={path.stem} {{ #{anchor}-{path.stem} }}", *_file(path, prefix)]
    return "\n\n".join(parts) + "\n"


def _file(path: Path, prefix: str) -> Iterator[str]:
    """The comment at the head of a file, commands in it as a block, then its keys as a table."""
    source = path.read_text(encoding="utf-8")
    head = [
        line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), source.splitlines())
    ]
    commands = [line for line in head if line.startswith("python ")]
    said = " ".join(line for line in head if line not in commands and not line.startswith("@package"))
    if commands:
        yield "```sh\n" + "\n".join(commands) + "\n```"
    if said:
        yield _OURS.sub(_linked, _escaped(said))
    rows = []
    for key in keys(source):
        name = key.name if key.name == "defaults" else prefix + key.name
        rows.append(f"| {_code(name)} | {_code(key.default)} | {_OURS.sub(_linked, _escaped(key.comment))} |")
    yield "\n".join(["| key | default | |", "|---|---|---|", *rows])


def keys(source: str) -> list[Key]:
    """The keys of a YAML text whose values are not mappings written over several lines."""
    node = yaml.compose(source, Loader=yaml.SafeLoader)
    anchors: dict[int, str] = {}
    return list(_keys(node, "", source.splitlines(), anchors)) if isinstance(node, yaml.MappingNode) else []


def _keys(node: yaml.MappingNode, prefix: str, lines: list[str], anchors: dict[int, str]) -> Iterator[Key]:
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        if key.value == "<<":  # the keys of another mapping, by reference
            yield Key(prefix.removesuffix("."), f"as {anchors[id(value)]}", "")
        elif isinstance(value, yaml.MappingNode) and not value.flow_style:
            anchors[id(value)] = name
            if comment := _comment(lines, key.end_mark):
                yield Key(name, "", comment)
            yield from _keys(value, f"{name}.", lines, anchors)
        elif isinstance(value, yaml.SequenceNode) and not value.flow_style:
            for item in value.value:  # Hydra's list of defaults, or the readers of a split
                yield Key(name, _written(item, lines), _comment(lines, item.end_mark))
        else:
            yield Key(name, _written(value, lines), _comment(lines, value.end_mark))


def _written(node: yaml.Node, lines: list[str]) -> str:
    """A value as it stands in the file."""
    start, end = node.start_mark, node.end_mark
    if start.line == end.line:
        return lines[start.line][start.column : end.column]
    return " ".join(line.strip() for line in (lines[start.line][start.column :], *lines[start.line + 1 : end.line]))


def _comment(lines: list[str], mark: yaml.Mark) -> str:
    """What stands behind ``#`` in the rest of the line."""
    rest = lines[mark.line][mark.column :] if mark.line < len(lines) else ""
    found = re.search(r"^\s*:?\s*(?:&\w+)?\s*#\s*(.*)$", rest)
    return found[1].strip() if found else ""


def _linked(found: re.Match[str]) -> str:
    """A name of ours as a link into the API reference."""
    return f"[`{found[0]}`][{found[0]}]"


def _escaped(text: str) -> str:
    return re.sub(r"([|<>*_$\[\]])", r"\\\1", text) if "khabar." not in text else text.replace("|", "\\|")


def _code(text: str) -> str:
    if not text:
        return ""
    if _OURS.fullmatch(text):
        return f"[`{text}`][{text}]"
    return "`" + text.replace("|", "\\|") + "`"
