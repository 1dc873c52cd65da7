"""Run the examples of a page in order, as a notebook runs its cells: ``python docs/examples.py docs/tutorial.md``.

A block of ``python`` is a cell: what it prints and the value of its last expression are its output, a pandas table
as a Markdown table. Of a block of ``bash`` the commands that begin with ``python`` are run, without a shell; ``sh`` is
shown only. An output stands behind its cell, between ``<!-- output -->`` and ``<!-- end -->``. The tests compare it;
run by hand, this file writes it afresh, for instance when another labeller ships.
"""

from __future__ import annotations

import ast
import io
import os
import re
import runpy
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import pandas

ROOT = Path(__file__).parents[1]
_CELL = re.compile(
    r"^```(?P<kind>python|bash)[^\n]*\n(?P<code>.*?)^```$(?P<output>\n+<!-- output -->\n(?P<text>.*?)<!-- end -->$)?",
    re.M | re.S,
)
_RULE = re.compile(r"^[`|:\s-]*(text)?$", re.M)  # fences, and the line below a table's head
_TOLERANCE = 0.1  # between numbers of two runs: processors round differently


def run(page: str, edit: Callable[[list[str]], list[str]] = list) -> Iterator[tuple[str, str | None, str]]:
    """Run the cells of a page in the current folder: each cell's code, the output shown (if any), the output found.

    ``edit`` may change the arguments of a command before it is run.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in _CELL.finditer(page):
        with redirect_stdout(io.StringIO()) as printed:
            if cell["kind"] == "python":
                value = _evaluate(cell["code"], names)
            else:
                for line in cell["code"].replace("\\\n", " ").splitlines():
                    if line.startswith("python "):
                        command(edit(shlex.split(line, comments=True)[1:]))
                value = None
        found = printed.getvalue()
        yield cell["code"], cell["text"], (f"```text\n{found.rstrip()}\n```\n" if found.strip() else "") + _shown(value)


def command(arguments: list[str]) -> None:
    """Run ``python ARGUMENTS``, a module or one of the scripts, in this process."""
    words = [name for word in arguments for name in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]
    before = sys.argv
    try:
        if words[0] == "-m":
            sys.argv = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = [str(ROOT / words[0]), *words[1:]]
            runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        sys.argv = before


def alike(shown: str, found: str) -> bool:
    """Whether two outputs are the same words, and numbers that are close; space and the frames of tables aside."""
    left, right = (_RULE.sub("", text).replace("|", " ").split() for text in (shown, found))
    return len(left) == len(right) and all(map(_same, left, right))


def _same(left: str, right: str) -> bool:
    try:
        return abs(float(left) - float(right)) <= _TOLERANCE
    except ValueError:
        return left == right


def _evaluate(code: str, names: dict[str, Any]) -> Any:
    """Execute a cell; the value of its last statement where that is an expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if isinstance(last, ast.Expr) else None


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, pandas.DataFrame):
        return f"```text\n{value!r}\n```\n"
    rows = [list(value.columns), ["---"] * len(value.columns), *value.itertuples(index=False)]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows) + "\n"


@contextmanager
def _somewhere() -> Iterator[None]:
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def main() -> None:
    """Write the outputs of the pages that are named afresh."""
    for name in sys.argv[1:]:
        path = Path(name).resolve()
        page = path.read_text(encoding="utf-8")
        with _somewhere():
            outputs = [found for _, _, found in run(page)]
        places = [cell.span("text") for cell in _CELL.finditer(page)]
        for (start, end), output in reversed(list(zip(places, outputs, strict=True))):
            if start >= 0:  # the cell shows its output
                page = f"{page[:start]}\n{output}\n{page[end:]}"
        path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
