"""Documents -> encoder inputs and labels; word logits -> mentions.

An instance is one encoder input: a window of the text (text pass), or a window centred on a trigger and
primed with it (argument pass). It carries labels for the layers it answers and ``IGNORE`` elsewhere, so
mixed batches and partial annotation need no special case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from khabar import bio
from khabar.arabic import PREPROCESSING, Word, clitic_offset, sentences, words
from khabar.document import DataError, Document, Mention
from khabar.edges import trimmed
from khabar.ontology import Ontology
from khabar.windows import centred, windows

__all__ = [
    "ARGUMENTS",
    "CLITICS",
    "ENTITIES",
    "HEADS",
    "IGNORE",
    "TRIGGERS",
    "Instance",
    "Reader",
    "Reading",
    "answerable",
]

ENTITIES, TRIGGERS, ARGUMENTS, CLITICS = "entities", "triggers", "arguments", "clitics"
HEADS = (ENTITIES, TRIGGERS, ARGUMENTS, CLITICS)
IGNORE = -100  # the label that no loss is taken of
MAX_CLITICS = 2  # letters written onto a name: و ب ل ك ف, stacked at most twice
MARKERS = ("<trigger>", "</trigger>")  # around the trigger, for encoders with one segment
_WORD_LIMIT = 48  # subwords read of one word: a line of a megabyte without a space is one word
_CACHE_LIMIT = 50_000  # word forms: most of what a stream repeats, in some 15 MB

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Reading:
    """A document as the encoder reads it. ``subwords[i]`` are the ids of ``words[i]``, at least one.

    Words of which preprocessing leaves nothing (lone diacritics) are counted in ``unread``: they carry no tag.
    """

    document: Document
    words: Sequence[Word]
    sentences: Sequence[range]
    subwords: Sequence[Sequence[int]]
    unread: int
    shortened: int
    lengths: Sequence[int] = field(init=False, repr=False)  # subwords of each word

    def __post_init__(self) -> None:
        object.__setattr__(self, "lengths", [len(ids) for ids in self.subwords])


@dataclass(frozen=True, slots=True)
class Instance:
    """One encoder input: ``words`` are the words it labels, ``positions`` the place of each one's first subword."""

    reading: Reading
    words: range
    input_ids: Sequence[int]
    token_type_ids: Sequence[int]
    positions: Sequence[int]
    trigger: Mention | None = None


@dataclass
class Reader:
    """Reads documents as one encoder wants them.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        preprocessing: a key of `khabar.arabic.PREPROCESSING`.
        length: subwords of an encoder input, special tokens included.
        context: subwords read beyond a window's own words on each side.
        argument_length: subwords of an encoder input of the argument pass.
        segments: whether the encoder tells segments apart; else the trigger stands between marker tokens.
        learn_context: whether windows teach what they read as context too, or only their own words.

    """

    tokenizer: Any
    ontology: Ontology
    heads: Sequence[str]
    preprocessing: str = "arabertv02"
    length: int = 256
    context: int = 32
    argument_length: int = 128
    segments: bool = True
    learn_context: bool = False
    _cache: dict[str, tuple[int, ...]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.preprocessing not in PREPROCESSING:
            raise ValueError(f"preprocessing {self.preprocessing!r}: expected one of {sorted(PREPROCESSING)}")
        if unknown := set(self.heads) - set(HEADS):
            raise ValueError(f"heads {sorted(unknown)}: expected some of {list(HEADS)}")
        if min(self.length, self.argument_length) < 2 * _WORD_LIMIT:
            raise ValueError(
                f"windows of {self.length} and {self.argument_length}: expected at least {2 * _WORD_LIMIT}"
            )
        self._unknown = int(self.tokenizer.unk_token_id)
        self._first = int(_one_of(self.tokenizer.cls_token_id, self.tokenizer.bos_token_id))
        self._last = int(_one_of(self.tokenizer.sep_token_id, self.tokenizer.eos_token_id))
        self._between = [self._last] * max(1, int(self.tokenizer.num_special_tokens_to_add(pair=True)) - 2)
        self._bare = self.tokenizer.get_vocab().get("▁")
        self._markers = [] if self.segments else self.tokenizer.convert_tokens_to_ids(list(MARKERS))
        self._glosses = {name: self._encode([e.gloss])[0] for name, e in self.ontology.events.items()}

    def labels(self, head: str) -> tuple[str, ...]:
        """The labels whose B and I tags a head tells apart; for clitics, the letters before a mention."""
        return {
            ENTITIES: tuple(self.ontology.entities),
            TRIGGERS: tuple(self.ontology.events),
            ARGUMENTS: self.ontology.roles,
            CLITICS: tuple(str(letters) for letters in range(MAX_CLITICS + 1)),
        }[head]

    def sizes(self) -> dict[str, int]:
        """Outputs of each head: tags, or for clitics the number of letters."""
        return {
            head: len(self.labels(head)) if head == CLITICS else len(bio.tag_names(self.labels(head)))
            for head in self.heads
        }

    def read(self, document: Document) -> Reading:
        """Preprocess, split into words and sentences, and cut words into subwords."""
        try:
            every = words(document.text, self.preprocessing)
        except ValueError as error:
            raise DataError(f"document {document.id!r}: {error}") from error
        kept = [word for word in every if word.form]
        whole = self._encode([word.form for word in kept])
        subwords = [ids[:_WORD_LIMIT] for ids in whole]
        shortened = sum(len(ids) > _WORD_LIMIT for ids in whole)
        return Reading(document, kept, sentences(document.text, kept), subwords, len(every) - len(kept), shortened)

    def text_pass(self, reading: Reading, whole: bool = False) -> list[Instance]:
        """The windows of a document; a word is labelled in the one that owns it, or (``whole``) in all that read it."""
        found = []
        for window in windows(reading.sentences, reading.lengths, self.length - 2, self.context):
            ids, places = [self._first], []
            for word in range(window.start, window.end):
                places.append(len(ids) + self._lead(reading.subwords[word]))
                ids.extend(reading.subwords[word])
            ids.append(self._last)
            labelled = range(window.start, window.end) if whole else range(window.first, window.last)
            positions = places[labelled.start - window.start : labelled.stop - window.start]
            found.append(Instance(reading, labelled, ids, [0] * len(ids), positions))
        return found

    def argument_pass(self, reading: Reading, trigger: Mention) -> Instance | None:
        """The window around a trigger, primed with the trigger and its type's gloss.

        ``None`` where the trigger covers no word that can be read.
        """
        covered = bio.covering(reading.words, trigger)
        if not covered:
            return None
        gloss = self._glosses[trigger.label]
        prime = [i for word in covered for i in reading.subwords[word]][:_WORD_LIMIT] + list(gloss)
        room = self.argument_length - 2 - len(self._between) - len(prime) - len(self._markers)
        while len(covered) > 1 and sum(reading.lengths[covered.start : covered.stop]) > room:
            covered = covered[:-1]  # a trigger longer than an input: its beginning says what it is
        seen = centred(covered.start, covered.stop, reading.lengths, room)
        ids, types, positions = [self._first], [0], []
        for word in seen:
            inside = word in covered
            if self._markers and word == covered.start:
                ids.append(self._markers[0])
                types.append(0)
            positions.append(len(ids) + self._lead(reading.subwords[word]))
            ids.extend(reading.subwords[word])
            types.extend([int(inside and self.segments)] * len(reading.subwords[word]))
            if self._markers and word == covered.stop - 1:
                ids.append(self._markers[1])
                types.append(0)
        second = [*self._between, *prime, self._last]
        ids.extend(second)
        types.extend([0] * len(self._between) + [int(self.segments)] * (len(second) - len(self._between)))
        return Instance(reading, seen, ids, types, positions, trigger)

    def instances(self, reading: Reading) -> list[Instance]:
        """Everything that is learned from a document: its windows, and one input for each gold trigger."""
        found = self.text_pass(reading, self.learn_context)
        if ARGUMENTS in self.heads:
            triggers = dict.fromkeys(event.trigger for event in reading.document.events or ())
            primed = (self.argument_pass(reading, trigger) for trigger in triggers)
            found.extend(instance for instance in primed if instance is not None)
        return found

    def targets(self, instance: Instance) -> dict[str, list[int]]:
        """Label numbers of the instance's words, one list for each head.

        A mention that began before the first of them begins with it: no valid sequence of tags begins inside one.
        """
        reading = instance.reading
        document = reading.document
        seen = reading.words[instance.words.start : instance.words.stop]
        layers: dict[str, Iterable[Mention] | None] = dict.fromkeys(HEADS)
        if instance.trigger is None:
            layers[ENTITIES] = document.entities
            layers[TRIGGERS] = None if document.events is None else [e.trigger for e in document.events]
        else:
            layers[ARGUMENTS] = [
                argument
                for event in document.events or ()
                if event.trigger == instance.trigger
                for argument in event.arguments
            ]
        result = {}
        for head in self.heads:
            mentions = layers[head]
            if head == CLITICS:
                result[head] = self._clitics(document, seen)
            elif mentions is None:
                result[head] = [IGNORE] * len(seen)
            else:
                result[head] = bio.encode(seen, mentions, self.labels(head))
        return result

    def admitted(self, instances: Sequence[Instance]) -> NDArray[np.bool_]:
        """(instances, tags) of the argument head: O and the tags of the roles that each event type has."""
        roles = self.ontology.roles
        result = np.ones((len(instances), 1 + 2 * len(roles)), dtype=np.bool_)
        for row, instance in enumerate(instances):
            admits = self.ontology.events[instance.trigger.label].roles if instance.trigger else ()
            for number, role in enumerate(roles):
                result[row, 1 + 2 * number : 3 + 2 * number] = role in admits
        return result

    def mentions(
        self, head: str, instances: Sequence[Instance], logits: Sequence[Mapping[str, Floats]]
    ) -> list[list[Mention]]:
        """Decode one head. ``logits[i][head]``: (words, tags) of instance i, calibrated."""
        if not instances:
            return []
        lengths = [len(instance.words) for instance in instances]
        padded = np.zeros((len(instances), max(lengths), logits[0][head].shape[1]), dtype=np.float32)
        for row, scores in enumerate(logits):
            padded[row, : lengths[row]] = scores[head]
        admitted = self.admitted(instances) if head == ARGUMENTS else None
        found = bio.decode(padded, lengths, admitted)
        return [
            [self.mention(head, instance, span, scores) for span in spans]
            for instance, spans, scores in zip(instances, found, logits, strict=True)
        ]

    def mention(self, head: str, instance: Instance, span: bio.Span, logits: Mapping[str, Floats]) -> Mention:
        """The mention that a span of an instance is; ``logits`` of clitics say where in its first word it starts."""
        text = instance.reading.document.text
        first = instance.reading.words[instance.words[span.first]]
        last = instance.reading.words[instance.words[span.last]]
        start, end = first.start, last.end
        if CLITICS in logits:
            start = _behind(text, first, int(logits[CLITICS][span.first].argmax())) or start
        start, end = trimmed(text, start, end)
        return Mention(start, end, self.labels(head)[span.label], span.score)

    def _clitics(self, document: Document, seen: Sequence[Word]) -> list[int]:
        """Letters between a word's start and the mention that begins in it; IGNORE where none begins."""
        result = [IGNORE] * len(seen)
        for mention in document.mentions():
            covered = bio.covering(seen, mention)
            if not covered or mention.start < seen[covered.start].start:
                continue
            word = seen[covered.start]
            for letters in range(MAX_CLITICS + 1):
                if _behind(document.text, word, letters) == mention.start:
                    result[covered.start] = letters
                    break
        return result

    def _lead(self, ids: Sequence[int]) -> int:
        """1 where a word's first subword is a unigram tokenizer's bare word mark, which says nothing of the word."""
        return int(len(ids) > 1 and ids[0] == self._bare)

    def _encode(self, forms: Sequence[str]) -> list[tuple[int, ...]]:
        """Subword ids of each word form, at least one (the unknown token), and one more than are read of a long one."""
        known = self._cache
        found = {form: known[form] for form in set(forms) if form in known}
        if missing := [form for form in dict.fromkeys(forms) if form not in found]:
            encoded = self.tokenizer(missing, add_special_tokens=False, return_attention_mask=False)["input_ids"]
            for form, ids in zip(missing, encoded, strict=True):
                found[form] = tuple(ids[: _WORD_LIMIT + 1]) or (self._unknown,)
            if len(known) + len(missing) > _CACHE_LIMIT:
                known.clear()
            known.update((form, found[form]) for form in missing[:_CACHE_LIMIT] if len(form) <= _WORD_LIMIT)
        return [found[form] for form in forms]


def answerable(document: Document, heads: Sequence[str]) -> Document:
    """The document without the gold that a model of these heads does not answer, so that it is not scored as missed."""
    events = document.events if TRIGGERS in heads else None
    if events is not None and ARGUMENTS not in heads:
        events = tuple(replace(event, arguments=()) for event in events)
    return replace(document, entities=document.entities if ENTITIES in heads else None, events=events)


def _behind(text: str, word: Word, letters: int) -> int | None:
    """Where a mention starts behind this many clitic letters; ``None`` where nothing of the word is left."""
    try:
        offset = clitic_offset(text, word.start, letters)
    except ValueError:
        return None
    return offset if offset < word.end else None


def _one_of(*ids: int | None) -> int:
    for value in ids:
        if value is not None:
            return value
    raise ValueError("the tokenizer has neither of the special tokens that open and close an input")
