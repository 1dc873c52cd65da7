"""Tagged tokens as documents: what column files and token-classification sets have in common.

Tags are read as the field's scorer conlleval reads them, whatever the scheme: B, I, O with E and S (or L and
U) where the scheme has them. An I (or E) that continues nothing begins a mention.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from khabar.document import DataError, Document, Mention

__all__ = ["Scheme", "Sentence", "documents", "spans", "split_tag"]

Scheme = Literal["IOB1", "IOB2", "BIOES"]
Sentence = tuple[Sequence[str], Sequence[str]]
"""Tokens and as many tags."""

_PREFIXES = {"B": "B", "I": "I", "E": "E", "S": "S", "L": "E", "U": "S"}  # BILOU is BIOES by other letters


def split_tag(tag: str) -> tuple[str, str]:
    """``B-LOC`` as ``("B", "LOC")`` and ``O`` as ``("O", "")``; raises `DataError` for anything else."""
    prefix, dash, label = tag.partition("-")
    if tag == "O":
        return "O", ""
    if prefix not in _PREFIXES or not dash or not label:
        raise DataError(f"expected O or a tag like B-LOC, got {tag!r}")
    return _PREFIXES[prefix], label


def spans(
    tags: Sequence[str], *, scheme: Scheme = "IOB2", report: Counter[str] | None = None
) -> list[tuple[int, int, str]]:
    """Find the mentions of one sentence: first token, one past the last, type.

    Orphan tags (an I or E after O, or after another type) begin a mention and are counted in ``report``; in
    ``IOB1`` an I begins mentions by rule, so there is nothing to count. Raises `DataError` for a tag of no
    scheme.
    """
    found: list[tuple[int, int, str]] = []
    is_open = False  # whether the last mention found may go on
    for position, (prefix, label) in enumerate(map(split_tag, tags)):
        if prefix == "O":
            is_open = False
            continue
        if is_open and prefix in "IE" and found[-1][2] == label:
            found[-1] = (found[-1][0], position + 1, label)
        else:
            if prefix in "IE" and scheme != "IOB1" and report is not None:
                report[f"orphan {prefix}- tag repaired"] += 1
            found.append((position, position + 1, label))
        is_open = prefix in "BI"
    return found


def documents(
    sentences: Iterable[Sentence | None],
    *,
    id_prefix: str,
    scheme: Scheme = "IOB2",
    labels: Mapping[str, str | None] | None = None,
    sentences_per_document: int = 1,
    skip_tokens: Collection[str] = (),
    strip: str = "",
    drop_duplicates: bool = False,
    report: Counter[str] | None = None,
) -> Iterator[Document]:
    """Join sentences to documents: tokens by a space, sentences by a line feed, ids numbered from 1.

    ``None`` among the sentences ends a document, as ``sentences_per_document`` sentences do. ``labels``
    renames entity types; a type that it maps to ``None`` is dropped. ``skip_tokens`` are left out; the
    characters of ``strip`` are taken off both ends of a token, and a token of which nothing remains is left
    out. ``drop_duplicates`` keeps the first of the sentences that have the same tokens. What is repaired or
    dropped is counted in ``report``. Raises `DataError` where tokens and tags differ in number or a tag is of
    no scheme.
    """
    if sentences_per_document < 1:
        raise DataError(f"expected at least one sentence per document, got {sentences_per_document}")
    report = Counter() if report is None else report
    labels = labels or {}
    seen: set[tuple[str, ...]] = set()
    texts: list[str] = []
    mentions: list[Mention] = []
    offset = number = 0  # offset: code points of the document so far, with the line feed that follows them
    for sentence in _with_end(sentences):
        if sentence is not None:
            tokens, tags = _clean(sentence, skip_tokens, strip, report)
            if drop_duplicates:
                if tuple(tokens) in seen:
                    report["duplicate sentence dropped"] += 1
                    continue
                seen.add(tuple(tokens))
            starts = _starts(tokens, offset)
            for first, last, label in spans(tags, scheme=scheme, report=report):
                name = labels.get(label, label)
                if name is None:
                    report[f"entity of type {label} dropped"] += 1
                else:
                    mentions.append(Mention(starts[first], starts[last - 1] + len(tokens[last - 1]), name))
            if tokens:
                texts.append(" ".join(tokens))
                offset += len(texts[-1]) + 1
        if texts and (sentence is None or len(texts) == sentences_per_document):
            number += 1
            yield Document(f"{id_prefix}-{number:04d}", "\n".join(texts), entities=tuple(mentions))
            texts, mentions, offset = [], [], 0


def _with_end(sentences: Iterable[Sentence | None]) -> Iterator[Sentence | None]:
    yield from sentences
    yield None


def _clean(
    sentence: Sentence, skip_tokens: Collection[str], strip: str, report: Counter[str]
) -> tuple[list[str], list[str]]:
    """Return the tokens and tags that stay."""
    if len(sentence[0]) != len(sentence[1]):
        raise DataError(f"expected as many tags as tokens, got {len(sentence[1])} for {len(sentence[0])}")
    tokens, tags = [], []
    for token, tag in zip(*sentence, strict=True):
        word = token.strip(strip) if strip else token
        if token in skip_tokens:
            report[f"token {token} skipped"] += 1
        elif not word.strip():
            report["empty token dropped"] += 1
        else:
            tokens.append(word)
            tags.append(tag)
    return tokens, tags


def _starts(tokens: Sequence[str], offset: int) -> list[int]:
    """Where each token begins, in code points, if the sentence begins at ``offset``."""
    starts = []
    for token in tokens:
        starts.append(offset)
        offset += len(token) + 1
    return starts
