"""«وصل وفد من بغداد إلى القاهرة وبحث الأزمة»: what a model could learn of it, and read back, is what was annotated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from khabar.arabic import clitic_offset
from khabar.document import Document, Event, Mention
from khabar.edges import trimmed
from khabar.features import (
    ARGUMENTS,
    CLITICS,
    ENTITIES,
    HEADS,
    IGNORE,
    MARKERS,
    TRIGGERS,
    Instance,
    Reader,
    Reading,
)
from khabar.ontology import Ontology
from khabar.oracle import recovered
from khabar.tagger import Tagger

MakeTagger = Callable[..., Tagger]


@pytest.fixture(scope="module")
def reader(untrained: Tagger) -> Reader:
    return untrained.reader


@pytest.fixture(scope="module")
def one_segment_reader(make_tagger: MakeTagger, one_segment_encoder: Path) -> Reader:
    """Reads for an encoder with one segment, and raw text: no preprocessing."""
    return make_tagger(encoder=one_segment_encoder, preprocessing="none", length=96, context=16).reader


@pytest.fixture(scope="module")
def readers(reader: Reader, one_segment_reader: Reader) -> list[Reader]:
    return [reader, one_segment_reader]


def pieces(reader: Reader, instance: Instance) -> list[str]:
    return list(reader.tokenizer.convert_ids_to_tokens(list(instance.input_ids)))


# Reading


def test_words_become_subwords(reader: Reader) -> None:
    reading = reader.read(Document("خبر", "هاجم تنظيم داعش الرقة."))
    assert [word.form for word in reading.words] == ["هاجم", "تنظيم", "داعش", "الرقة", "."]
    cut = [reader.tokenizer.convert_ids_to_tokens(list(ids)) for ids in reading.subwords]
    assert ["".join(parts).replace("##", "") for parts in cut] == [word.form for word in reading.words]
    assert reading.lengths == [len(parts) for parts in cut]
    assert (reading.unread, reading.shortened) == (0, 0)


def test_a_word_that_the_vocabulary_does_not_know_keeps_its_place(reader: Reader) -> None:
    reading = reader.read(Document("خبر", "في ѳѳ لندن"))
    assert [word.form for word in reading.words] == ["في", "لندن"]  # preprocessing dropped the foreign one
    assert reading.unread == 1
    one_subword = reader.read(Document("خبر", "zz"))
    assert one_subword.subwords == [(reader.tokenizer.unk_token_id,)]


def test_a_word_of_a_hundred_thousand_letters_is_read_and_counted(readers: list[Reader]) -> None:
    letters = "ابجده" * 20_000
    document = Document("طويل", f"قال {letters} أمس", (Mention(4, 100_004, "ORG"),), ())
    # WordPiece has one piece for what it finds too long; the unigram model cuts it up.
    for reader, longest, shortened in zip(readers, (1, 48), (0, 1), strict=True):
        reading = reader.read(document)
        assert (len(reading.words), reading.lengths[1], reading.shortened) == (3, longest, shortened)
        assert recovered(reader, reading).entities == document.entities


def test_lone_diacritics_leave_nothing_to_read(reader: Reader) -> None:
    reading = reader.read(Document("حركات", "ً ُ", (), ()))
    assert (reading.words, reading.unread, reader.instances(reading)) == ([], 2, [])


def test_an_empty_document_has_nothing_to_read(readers: list[Reader]) -> None:
    for reader in readers:
        for text in ("", " \n\t", "\u00a0\u2028"):
            reading = reader.read(Document("فارغ", text, (), ()))
            assert (reading.words, reader.instances(reading)) == ([], [])
            assert recovered(reader, reading).entities == ()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preprocessing": "bert"}, "preprocessing 'bert'"),
        ({"length": 20}, "expected at least 96"),
        ({"argument_length": 95}, "expected at least 96"),
        ({"heads": ["entities", "relations"]}, r"heads \['relations'\]"),
    ],
)
def test_settings_that_cannot_work_are_refused(reader: Reader, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(reader, **settings)


def test_a_tokenizer_without_special_tokens_is_refused(reader: Reader, ontology: Ontology) -> None:
    class Bare:
        unk_token_id = 1
        cls_token_id = bos_token_id = None

    with pytest.raises(ValueError, match="special tokens"):
        Reader(Bare(), ontology, HEADS)


def test_forms_are_cut_once_and_the_memory_of_them_is_bounded(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("khabar.features._CACHE_LIMIT", 3)
    fresh = replace(reader, _cache={})
    document = Document("خبر", "هاجم الجيش السوري تنظيم داعش الجيش")
    assert fresh.read(document).subwords == reader.read(document).subwords
    assert fresh.read(document).subwords == reader.read(document).subwords


# Windows


def test_windows_read_every_word_once(reader: Reader, documents: tuple[Document, ...]) -> None:
    text = " ".join(document.text for document in documents) * 3
    reading = reader.read(Document("الكل", text))
    found = reader.text_pass(reading)
    assert len(found) > 3
    assert [word for instance in found for word in instance.words] == list(range(len(reading.words)))
    for instance in found:
        assert len(instance.input_ids) == len(instance.token_type_ids) <= reader.length
        tokens = pieces(reader, instance)
        assert (tokens[0], tokens[-1]) == ("[CLS]", "[SEP]")
        for word, position in zip(instance.words, instance.positions, strict=True):
            ids = reading.subwords[word]
            assert tuple(instance.input_ids[position : position + len(ids)]) == tuple(ids)


def test_windows_may_teach_every_word_they_read(reader: Reader, documents: tuple[Document, ...]) -> None:
    text = " ".join(document.text for document in documents) * 3
    reading = reader.read(Document("الكل", text))
    own, every = reader.text_pass(reading), replace(reader, learn_context=True).instances(reading)
    assert [instance.input_ids for instance in every] == [instance.input_ids for instance in own]
    for narrow, wide in zip(own, every, strict=True):
        assert wide.words.start <= narrow.words.start < narrow.words.stop <= wide.words.stop
        before = narrow.words.start - wide.words.start
        assert wide.positions[before : before + len(narrow.words)] == narrow.positions
        assert [i for word in wide.words for i in reading.subwords[word]] == list(wide.input_ids[1:-1])
    assert sum(len(instance.words) for instance in every) > len(reading.words)


def test_the_argument_pass_is_primed_with_trigger_and_gloss(reader: Reader, documents: tuple[Document, ...]) -> None:
    document = documents[0]
    assert document.events is not None
    reading = reader.read(document)
    instance = reader.argument_pass(reading, document.events[0].trigger)
    assert instance is not None
    assert instance.words == range(len(reading.words))
    trigger = list(reading.subwords[0])
    gloss = reader.tokenizer("هجوم", add_special_tokens=False)["input_ids"]
    text = [i for ids in reading.subwords for i in ids]
    tokenizer = reader.tokenizer
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert instance.input_ids == [first, *text, last, *trigger, *gloss, last]
    rest = len(text) - len(trigger)
    assert instance.token_type_ids == [0, *[1] * len(trigger), *[0] * (rest + 1), *[1] * (len(trigger + gloss) + 1)]


def test_encoders_with_one_segment_read_the_trigger_between_markers(
    one_segment_reader: Reader, documents: tuple[Document, ...]
) -> None:
    reader = one_segment_reader
    document = documents[3]
    assert document.events is not None
    reading = reader.read(document)
    trigger = document.events[0].trigger
    instance = reader.argument_pass(reading, trigger)
    assert instance is not None
    tokens = pieces(reader, instance)
    opened, closed = (tokens.index(marker) for marker in MARKERS)
    inside = "".join(tokens[opened + 1 : closed]).replace("▁", "")
    assert inside == "واجتمع"  # the whole word: the trigger starts behind its و
    ends = [place for place, token in enumerate(tokens) if token == "</s>"]
    assert len(ends) == 3
    assert ends[1] == ends[0] + 1
    assert "".join(tokens[ends[1] + 1 : ends[2]]).replace("▁", " ") == " واجتمع لقاء"
    assert not any(instance.token_type_ids)
    bare = reader.tokenizer.convert_tokens_to_ids("▁")
    for word, position in zip(instance.words, instance.positions, strict=True):
        # The label sits on the first subword that has letters, behind a bare word mark.
        ids = reading.subwords[word]
        assert instance.input_ids[position] == (ids[1] if ids[0] == bare else ids[0])
    assert any(ids[0] == bare for ids in reading.subwords)


def test_a_trigger_deep_in_an_article_is_seen_with_both_sides(readers: list[Reader]) -> None:
    text = "قال مصدر " * 200 + "هاجم " + "الجيش مواقع " * 200
    trigger = Mention(text.index("هاجم"), text.index("هاجم") + 4, "Attack")
    for reader in readers:
        reading = reader.read(Document("طويل", text))
        instance = reader.argument_pass(reading, trigger)
        assert instance is not None
        assert len(instance.input_ids) <= reader.argument_length
        before, after = 400 - instance.words.start, instance.words.stop - 401
        assert min(before, after) >= 10


def test_a_trigger_that_covers_no_word_cannot_be_read(reader: Reader) -> None:
    assert reader.argument_pass(reader.read(Document("خبر", "قال ً أمس")), Mention(4, 5, "Attack")) is None


# Targets


def test_a_layer_that_is_not_annotated_teaches_nothing(reader: Reader, documents: tuple[Document, ...]) -> None:
    by_id = {document.id: reader.read(document) for document in documents}
    annotated = {
        name: {head: set(row) != {IGNORE} for head, row in reader.targets(reader.text_pass(by_id[name])[0]).items()}
        for name in ("أرامكو", "مقديشو", "لا جديد")
    }
    nothing = {ARGUMENTS: False}
    assert annotated["أرامكو"] == nothing | {ENTITIES: True, TRIGGERS: False, CLITICS: True}
    assert annotated["مقديشو"] == nothing | {ENTITIES: False, TRIGGERS: True, CLITICS: True}
    assert annotated["لا جديد"] == nothing | {ENTITIES: True, TRIGGERS: True, CLITICS: False}


def test_an_argument_instance_answers_for_its_own_trigger_only(reader: Reader, documents: tuple[Document, ...]) -> None:
    document = documents[4]  # قصفت and قتل
    reading = reader.read(document)
    found = [instance for instance in reader.instances(reading) if instance.trigger]
    roles = reader.ontology.roles
    labelled = []
    for instance in found:
        targets = reader.targets(instance)
        assert set(targets[ENTITIES]) == set(targets[TRIGGERS]) == {IGNORE}
        words = [reading.words[word].form for word in instance.words]
        labelled.append(
            [(word, roles[(tag - 1) // 2]) for word, tag in zip(words, targets[ARGUMENTS], strict=True) if tag]
        )
    assert labelled == [
        [("الطائرات", "Attacker"), ("مدينة", "Target"), ("حلب", "Target")],
        [("عشرة", "Victim"), ("مدنيين", "Victim")],
    ]


def test_clitics_are_the_letters_before_a_mention(reader: Reader, documents: tuple[Document, ...]) -> None:
    expected = {
        "بغداد": {"التقى": 0, "سامح": 0, "ببغداد": 1},
        "أمم": {"الأمم": 0, "للعراق": 2, "وسوريا": 1},
        "كركوك": {"قتل": 0, "خمسة": 0, "كركوك": 0, "صباح": 0},
        "لبنان": {"إيمانويل": 0, "لبنان": 0, "واجتمع": 1, "بميشال": 1},
    }
    for document in documents:
        if document.id in expected:
            (window, *_) = reader.instances(reading := reader.read(document))
            row = reader.targets(window)[CLITICS]
            letters = {reading.words[w].form: n for w, n in zip(window.words, row, strict=True) if n != IGNORE}
            assert letters == expected[document.id]


def test_a_mention_that_starts_before_the_window_teaches_no_clitics(reader: Reader) -> None:
    text = " ".join(["منظمة"] * 300)
    reading = reader.read(Document("طويل", text, (Mention(0, len(text), "ORG"),), ()))
    rows = [reader.targets(instance)[CLITICS] for instance in reader.text_pass(reading)]
    assert len(rows) > 1
    assert [row[0] for row in rows] == [0] + [IGNORE] * (len(rows) - 1)


def test_only_heads_of_the_model_have_targets_and_sizes(reader: Reader, documents: tuple[Document, ...]) -> None:
    small = replace(reader, heads=(TRIGGERS,))
    assert small.sizes() == {TRIGGERS: 7}
    assert reader.sizes() == {ENTITIES: 9, TRIGGERS: 7, ARGUMENTS: 1 + 2 * len(reader.ontology.roles), CLITICS: 3}
    found = small.instances(small.read(documents[0]))
    assert [instance.trigger for instance in found] == [None]
    assert set(small.targets(found[0])) == {TRIGGERS}


def test_roles_that_the_type_does_not_have_are_not_admitted(reader: Reader, documents: tuple[Document, ...]) -> None:
    text, meet = reader.instances(reader.read(documents[1]))
    admitted = reader.admitted([text, meet])
    names = ["O", *(f"{prefix}-{role}" for role in reader.ontology.roles for prefix in "BI")]
    assert [name for name, allowed in zip(names, admitted[0], strict=True) if allowed] == ["O"]
    assert {name for name, allowed in zip(names, admitted[1], strict=True) if allowed} == {
        *("O", "B-Entity", "I-Entity", "B-Place", "I-Place")
    }


# Back to mentions


def test_every_document_is_recovered(readers: list[Reader], documents: tuple[Document, ...]) -> None:
    for reader in readers:
        for document in documents:
            assert recovered(reader, reader.read(document)) == document


def test_what_no_tags_can_express_is_not_recovered(reader: Reader) -> None:
    text = "هاجم الجيش مواقع"
    attack = Mention(0, 4, "Attack")
    meet = Mention(0, 4, "Meet")
    document = Document("خبر", text, (Mention(7, 10, "ORG"), Mention(14, 15, "GPE")), (Event(attack), Event(meet)))
    best = recovered(reader, reader.read(document))
    assert best.events == (Event(attack),)
    assert best.entities == (Mention(7, 10, "ORG"), Mention(11, 16, "GPE"))


def test_a_model_without_clitics_answers_whole_words(reader: Reader, documents: tuple[Document, ...]) -> None:
    plain = replace(reader, heads=(ENTITIES,))
    best = recovered(plain, plain.read(documents[5]))
    assert [best.surface(mention) for mention in best.entities or ()] == ["الأمم المتحدة", "للعراق", "وسوريا"]
    assert best.events == documents[5].events


def test_direction_marks_are_left_outside(reader: Reader) -> None:
    text = "في \u200fبيروت\u200f\u200e أمس"
    reading = reader.read(Document("خبر", text, (Mention(4, 9, "GPE"),), ()))
    assert recovered(reader, reading).entities == (Mention(4, 9, "GPE"),)


def test_no_instances_no_mentions(reader: Reader) -> None:
    assert reader.mentions(ENTITIES, [], []) == []


# Arabic with what newsrooms paste around it, and whatever else Unicode has
ARABIC = st.text(st.sampled_from("ابتجدرسعقلمنهويةىأإآءؤئ"), min_size=1, max_size=8)
MARKED = st.text(st.sampled_from("بغداوكل" + "ًٌٍَُِّْـ"), min_size=1, max_size=10)
ODD = st.one_of(
    st.sampled_from(["🔴", "👩\u200d👩\u200d👧", "\u200f", "\u200e", "\u202b", "\ufeff", "\u00ad", "\u0640", "ـَ", "ً"]),
    st.sampled_from(["http://t.co/a b", "http:// x.com", "<b x>", "&amp;", "a@b.com", "@وزير", "هههههه", "ﻻ", "ﷺ"]),
    st.sampled_from(["١٢٣", "12كم", "«", "»", "(", ").", "…", ".."]),
)
TEXTS = st.lists(
    st.one_of(ARABIC, ARABIC, MARKED, ODD, st.sampled_from([" ", " ", "\n", "\u00a0", "\u2028"]), st.text(max_size=4)),
    max_size=30,
).map("".join)


@st.composite
def annotated(draw: st.DrawFn, reader: Reader) -> tuple[Document, Reading]:
    """A text, and gold that starts at a word's edge or behind one or two of its letters, and ends at an edge."""
    text = draw(TEXTS)
    words = reader.read(Document("نص", text)).words
    cuts = sorted(draw(st.sets(st.integers(0, len(words)), max_size=6)))
    mentions = []
    for first, last in zip(cuts[::2], cuts[1::2], strict=False):
        start, end = words[first].start, words[last - 1].end
        try:
            start = clitic_offset(text, start, draw(st.integers(0, 2)))
        except ValueError:
            continue
        if start >= words[first].end:
            continue
        start, end = trimmed(text, start, end)  # marks at the edges belong to no name
        mentions.append(Mention(start, end, draw(st.sampled_from(["PER", "ORG", "GPE"]))))
    triggers = [Mention(m.start, m.end, "Attack") for m in mentions]
    roles = [Mention(m.start, m.end, "Target") for m in mentions]
    events = tuple(Event(trigger, tuple(roles)) for trigger in triggers)
    document = Document("نص", text, tuple(mentions), events)
    return document, reader.read(document)


@given(st.data())
def test_any_text_is_recovered_where_mentions_keep_to_words_and_clitics(
    readers: list[Reader], data: st.DataObject
) -> None:
    for reader in readers:
        document, reading = data.draw(annotated(reader))
        best = recovered(reader, reading)
        assert best.entities == document.entities
        assert best.events is not None
        assert document.events is not None
        assert [event.trigger for event in best.events] == [event.trigger for event in document.events]
        if sum(reading.lengths) < 40:  # all arguments are in sight of each trigger
            assert best.events == document.events


@example(text="ء: \u200f", seed=1)  # a bidi mark that is a word of its own, after white space
@given(text=TEXTS, seed=st.integers(0, 2**32 - 1))
def test_whatever_is_predicted_is_in_bounds_and_has_no_white_space_at_its_edges(
    readers: list[Reader], text: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    for reader in readers:
        reading = reader.read(Document("نص", text))
        instances = reader.text_pass(reading)
        assume(instances)
        sizes = reader.sizes()
        logits = [
            {head: rng.normal(size=(len(i.words), size)).astype(np.float32) for head, size in sizes.items()}
            for i in instances
        ]
        for mention in (m for found in reader.mentions(ENTITIES, instances, logits) for m in found):
            assert 0 <= mention.start < mention.end <= len(text)
            surface = text[mention.start : mention.end]
            assert surface == surface.strip()
            assert mention.score is not None
            assert 0 < mention.score <= 1
