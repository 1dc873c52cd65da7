"""«لا يُختبر الطالب بما حفظ»: what stands in train is no test; text that stands twice is found, and nothing else."""

from __future__ import annotations

import sys
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khabar.checks.duplicates import cut, find, jaccard, key, near, whole
from khabar.document import DataError, Document

SENTENCE = "هاجم الجيش السوري مواقع تنظيم داعش في الرقة يوم الأحد"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("هاجَمَ الجيشُ، الرقّةَ.", "هاجم الجيش الرقه"),  # diacritics and punctuation make no difference
        ("«أحمد» إلى\nمصرٍ", "احمد الي مصر"),
        ("سنة ٢٠١٦", "سنه 2016"),
        ("؟!", ""),
    ],
)
def test_what_is_compared_are_folded_words(text: str, expected: str) -> None:
    assert key(text) == expected


def test_sentences_are_passages_of_their_document() -> None:
    document = Document("1", "بيروت - رويترز\nأطلق مسلحون النار. وقال مصدر إن جنديا قتل.")
    assert [passage.text for passage in cut("train", document)] == [
        "بيروت - رويترز",
        "أطلق مسلحون النار.",
        "وقال مصدر إن جنديا قتل.",
    ]
    assert [passage.words for passage in cut("train", document)] == [2, 3, 5]
    assert whole("train", document).text == document.text


def test_copies_are_named_once_with_the_best_original() -> None:
    texts = {
        "train": [SENTENCE, SENTENCE + "!", SENTENCE.replace("الأحد", "الاحد")],
        "test": ["«" + SENTENCE + "»", SENTENCE + " الماضي", "لا جديد في نشرة هذا اليوم"],
    }
    passages = [
        whole(split, Document(f"{split}-{number}", text))
        for split, found in texts.items()
        for number, text in enumerate(found)
    ]
    copies = find(passages)
    test = [(copy.passage.document.id, copy.original.document.id, copy.exact) for copy in copies.of("test", "train")]
    assert test == [("test-0", "train-0", True), ("test-1", "train-0", False)]
    within = [(copy.passage.document.id, copy.original.document.id) for copy in copies.of("train", "train")]
    assert within == [("train-1", "train-0"), ("train-2", "train-0")]
    assert [copy.passage.document.id for copy in copies.of("test", "test")] == ["test-1"]  # almost test-0
    assert find(passages, threshold=None).of("test", "test") == []


def test_short_passages_are_left_out() -> None:
    passages = [whole(split, Document(split, "بيروت - رويترز")) for split in ("train", "test")]
    assert find(passages).of("test", "train") == []
    assert len(find(passages, shortest=2).of("test", "train")) == 1


TEXTS = st.lists(st.text(st.sampled_from("ابتث "), min_size=1, max_size=30), max_size=12, unique=True)


@given(texts=TEXTS, threshold=st.sampled_from([0.5, 0.7, 0.8, 0.9, 1.0]), shingle=st.integers(1, 5))
def test_pairs_are_those_that_comparing_all_with_all_finds(texts: list[str], threshold: float, shingle: int) -> None:
    def shingles(text: str) -> frozenset[str]:
        return frozenset(text[i : i + shingle] for i in range(max(1, len(text) - shingle + 1)))

    every = {
        (i, j): jaccard(shingles(texts[i]), shingles(texts[j]))
        for i, j in combinations(range(len(texts)), 2)
        if jaccard(shingles(texts[i]), shingles(texts[j])) >= threshold
    }
    found = {(i, j): similarity for i, j, similarity in near(texts, threshold, shingle)}
    assert found.items() <= every.items()
    # A pair at the threshold may be missed, with a chance below 0.001; equal sets never are.
    assert {pair for pair, similarity in every.items() if similarity == 1} <= found.keys()


def test_near_copies_are_found_among_many_others() -> None:
    names = ["بغداد", "دمشق", "بيروت", "القاهرة", "تونس", "طرابلس", "صنعاء", "الخرطوم", "الرياض", "عمان"]
    verbs = ["زار", "غادر", "قصف", "دخل", "حاصر", "وصف", "انتقد"]
    others = [f"{verb} {a} و{b} ثم {c}" for verb in verbs for a, b, c in combinations(names, 3)]
    changed = [SENTENCE + ending for ending in ("", " الماضي", " نفسه", " ظهرا")]
    texts = [*others[:400], *changed, *others[400:]]
    ours = range(400, 404)
    found = {(i, j) for i, j, _ in near(texts, 0.8)}
    assert set(combinations(ours, 2)) <= found
    assert not any((i in ours) != (j in ours) for i, j in found)


@pytest.mark.parametrize(("threshold", "shingle"), [(0.0, 5), (1.1, 5), (0.8, 0)])
def test_impossible_settings_are_named(threshold: float, shingle: int) -> None:
    with pytest.raises(DataError, match="expected 0 < threshold"):
        list(near(["نص"], threshold, shingle))


def test_without_datasketch_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasketch", None)
    passages = [whole(split, Document(split, SENTENCE)) for split in ("train", "test")]
    with pytest.raises(DataError, match=r"pip install 'khabar\[check\]'"):
        find(passages)
    assert len(find(passages, threshold=None).of("test", "train")) == 1  # exact copies need no extra
