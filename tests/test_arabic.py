"""Raw text -> words, with raw offsets. The reference is the package `arabert`, read as a black box."""

from __future__ import annotations

import html
import json
import logging
import lzma
import random
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from khabar import farasa
from khabar.arabic import PREPROCESSING, Preprocessing, Word, clitic_offset, fold, preprocess, sentences, words
from khabar.cleaning import AlignedText
from khabar.farasa import FarasaUnavailable

SHARED = Path(__file__).parents[2] / "shared" / "data"
MODELS = {  # our names -> the reference's
    "arabertv02": "bert-base-arabertv02",
    "araelectra": "araelectra-base-discriminator",
    "arabertv01": "bert-base-arabertv01",
    "arabertv2": "bert-base-arabertv2",
    "arabertv1": "bert-base-arabert",
}
SEGMENTED = [name for name in MODELS if PREPROCESSING[name].segmenter is not None]


def test_raw_text_becomes_words_that_remember_where_they_stood() -> None:
    raw = "قُتِلَ ٣ جنودٍ في «كركوك»، الـعـراق."
    found = words(raw)
    assert " ".join(word.form for word in found) == "قتل 3 جنود في « كركوك » ، العراق ."
    assert " ".join(raw[word.start : word.end] for word in found) == "قُتِلَ ٣ جنودٍ في « كركوك » ، الـعـراق ."


# Each line: raw text, then form=raw for every word.
CASES = {
    "tashkeel": ("مُحَمَّدٌ", ["محمد=مُحَمَّدٌ"]),
    "tashkeel before a letter": ("\u064eقال", ["قال=\u064eقال"]),
    "tatweel": ("الـعـــراقـ", ["العراق=الـعـــراقـ"]),
    "superscript alef splits": ("هٰذا", ["ه=هٰ", "ذا=ذا"]),
    "Indic digits": ("عام ٢٠١١", ["عام=عام", "2011=٢٠١١"]),
    "Persian digits are not read": ("عام ۲۰", ["عام=عام", "=۲۰"]),
    "decimal": ("3.5", ["3=3", ".=.", "5=5"]),
    "digits glued to letters": ("12عشر5", ["12=12", "عشر=عشر", "5=5"]),
    "digits glued to Latin letters": ("F16", ["F16=F16"]),
    "Latin and Arabic around digits": ("x12عشر", ["x=x", "12=12", "عشر=عشر"]),
    "URL": ("انظر http://a.com/x?y=1 الآن", ["انظر=انظر", "[رابط]=http://a.com/x?y=1", "الآن=الآن"]),
    "URL with a space": ("http:// ab.com", ["[رابط]=http:// ab.com"]),
    "URL without scheme": ("(www.bbc.co.uk)", ["(=(", "[رابط]=www.bbc.co.uk", ")=)"]),
    "file name taken for a URL": ("node.js", ["[رابط]=node.js"]),
    "e-mail": ("راسل (علي@موقع.تونس)", ["راسل=راسل", "(=(", "[بريد]=علي@موقع.تونس", ")=)"]),
    "e-mail taken for a URL": ("راسل a-b@c.org.", ["راسل=راسل", "[رابط]=a-b@c.org."]),
    "mention": ("قال @ali_1: نعم", ["قال=قال", "[مستخدم]=@ali_1", ":=:", "نعم=نعم"]),
    "hashtag": ("#تونس_اليوم", ["#=#", "تونس=تونس", "_=_", "اليوم=اليوم"]),
    "tag": ("قال<b>علي</b>", ["قال=قال", "=<b>", "علي=علي", "=</b>"]),
    "tag across words": ('<a href="x" >علي', ["=<a", '=href="x"', "=>", "علي=علي"]),
    "URL in a tag": ("<a href=http://a.com/>علي</a>", ["=<a", "=href=http://a.com/>", "علي=علي", "=</a>"]),
    "less and greater": ("س < ص > ع", ["س=س", "=<", "=ص", "=>", "ع=ع"]),
    "less alone": ("س < ص", ["س=س", "<=<", "ص=ص"]),
    "line break": ("أ<br />ب", ["أ=أ", "=<br", "=/>", "ب=ب"]),
    "entity": ("&quot;علي&quot;&nbsp;بن", ['"=&quot;', "علي=علي", '"=&quot;', "=&nbsp;", "بن=بن"]),
    "entity of a letter": ("&#1593;لي", ["علي=&#1593;لي"]),
    "entity deleted": ("ع&#1;لي", ["علي=ع&#1;لي"]),
    "entities make a tag": ("&lt;b&gt;علي", ["=&lt;b&gt;", "علي=علي"]),
    "tokens of one extent are one word": ("&gt3", ["> 3=&gt3"]),
    "ampersand": ("AT&T", ["AT=AT", "=&", "T=T"]),
    "slash": ("1/2", ["1=1", "-=/", "2=2"]),
    "emoji": ("علي😀👍🏽 رائع", ["علي=علي", "=😀👍🏽", "رائع=رائع"]),
    "bidi marks": ("\u200fعلي\u200f، نعم", ["=\u200f", "علي=علي", "=\u200f", "،=،", "نعم=نعم"]),
    "byte order mark": ("\ufeffعلي", ["=\ufeff", "علي=علي"]),
    "presentation forms": ("ﻣﺤﻤﺪ علي", ["=ﻣﺤﻤﺪ", "علي=علي"]),
    "ligature in a word": ("اﻻن", ["ا=اﻻ", "ن=ن"]),
    "foreign letters belong to their word": ("ڨفصة إنڤيديا", ["فصة=ڨفصة", "إن=إنڤ", "يديا=يديا"]),
    "accents": ("Dès", ["D=Dè", "s=s"]),
    "lone diacritics": ("قال \u064e\u0651 ـــ علي", ["قال=قال", "=\u064e\u0651", "=ـــ", "علي=علي"]),
    "repeated letters": ("ههههه", ["هه=ههههه"]),
    "repeated letters inside": ("راااائع", ["راائع=راااائع"]),
    "repeated digits stay": ("1000000", ["1000000=1000000"]),
    "repeated punctuation": ("نعم!!!!", ["نعم=نعم", "!=!", "!=!!!"]),
    "guillemets": ("«قال»", ["«=«", "قال=قال", "»=»"]),
    "curly quotes": ("“قال”", ["“=“", "قال=قال", "”=”"]),
    "square brackets stay glued": ("[1]", ["[1]=[1]"]),
    "ellipsis": ("نعم…", ["نعم=نعم", "…=…"]),
    "white space of all kinds": ("\u2003أ\u00a0ب\r\n\u2028ج\x85", ["أ=أ", "ب=ب", "ج=ج"]),
    "nothing": (" \n", []),
}


@pytest.mark.parametrize(("raw", "expected"), CASES.values(), ids=CASES)
def test_words(raw: str, expected: list[str]) -> None:
    assert [f"{word.form}={raw[word.start : word.end]}" for word in words(raw)] == expected


def test_without_preprocessing_only_punctuation_is_divided() -> None:
    raw = "«قُتِل» 3.5% في U.S.\u200f!!"
    assert " ".join(word.form for word in words(raw, "none")) == "« قُتِل » 3 . 5 % في U . S . \u200f ! !"


def test_first_generation() -> None:
    raw = "قال... «علي» (انظر http://x.y/z) ١٢😀"
    assert [f"{word.form}={raw[word.start : word.end]}" for word in words(raw, "arabertv01")] == [
        *("قال=قال", ".=...", '"=«', "علي=علي", '"=»', "(=(", "انظر=انظر"),
        *("[رابط]=http://x.y/z)", "١٢=١٢", "😀=😀"),
    ]


def test_unknown_preprocessing_is_named() -> None:
    with pytest.raises(ValueError, match=r"'arabert'.*arabertv02"):
        words("قال", "arabert")


class TestAlignedText:
    def test_of(self) -> None:
        aligned = AlignedText.of("قال")
        assert (aligned.text, *map(list, (aligned.starts, aligned.ends))) == ("قال", [0, 1, 2], [1, 2, 3])

    def test_nothing_to_do_costs_nothing(self) -> None:
        aligned = AlignedText.of("قال")
        assert aligned.sub(re.compile("x"), "y") is aligned

    @pytest.mark.parametrize(
        ("raw", "pattern", "replacement", "expected"),
        [
            ("قَل", "\u064e", "", [("ق", 0, 1), ("ل", 2, 3)]),
            ("a3", "(3)", r" \1 ", [("a", 0, 1), (" ", 1, 1), ("3", 1, 2), (" ", 2, 2)]),
            ("axyb", "xy", "...", [("a", 0, 1), (".", 1, 3), (".", 1, 3), (".", 1, 3), ("b", 3, 4)]),
            ("xxxx", r"(x)(\1)\1+", r"\1\2", [("x", 0, 1), ("x", 1, 4)]),
            ("3a", "(3)(a)", r"\2", [("a", 1, 2)]),
            ("ab", "(x)?a", r"-\1", [("-", 0, 1), ("b", 1, 2)]),
            ("ab", "$", "!", [("a", 0, 1), ("b", 1, 2), ("!", 2, 2)]),
            ("٣", "٣", lambda match: "3", [("3", 0, 1)]),
        ],
    )
    def test_sub(self, raw: str, pattern: str, replacement: Any, expected: list[tuple[str, int, int]]) -> None:
        aligned = AlignedText.of(raw).sub(re.compile(pattern), replacement)
        assert list(zip(aligned.text, aligned.starts, aligned.ends, strict=True)) == expected

    def test_space_between_characters_of_one_extent(self) -> None:
        aligned = AlignedText.of("x").sub(re.compile("x"), "ab").sub(re.compile("(a)"), r" \1 ")
        assert aligned.text == " a b"
        check_aligned("x", aligned)


# Sentences


@pytest.mark.parametrize(
    "expected",
    [
        ["ذهب علي.", "عاد محمد!", "متى؟", "لا أدري…", "نعم"],
        ["بلغت 3.5 مليون و٢.٥ ألف.", "ثم هبطت."],
        ["نقلت (أ. ف. ب.) عن د. محمد علي.", "وغادر."],
        ["قال: «لن نعود.»", "ثم غادر (اليوم.)", "انتهى."],
        ['قال: "لن نعود."', "انتهى."],
        ["لم يعد؛ بل غادر، وقال: نعم.", "انتهى"],
        ["أكيد؟!", "نعم.."],
        ["زار الـU.S. واشترى node.js من a.com اليوم.", "ثم عاد."],
        ["رائع!😀", "نعم"],
        ["في عام 2011.", "ثم S8.", "نعم"],
    ],
)
def test_sentences(expected: list[str]) -> None:
    assert split(" ".join(expected)) == expected


def test_a_line_break_always_ends_a_sentence() -> None:
    assert split("عنوان بلا نقطة\nالمتن (أ.\nف.\u2028\n\n«نعم") == [
        "عنوان بلا نقطة",
        "المتن (أ.",
        "ف.",
        "«نعم",
    ]


def test_a_missing_space_does_not_hide_a_full_stop() -> None:
    assert split("انتهى الاجتماع.وغادر الوزير") == ["انتهى الاجتماع.", "وغادر الوزير"]


def split(raw: str) -> list[str]:
    found = words(raw)
    return [raw[found[part[0]].start : found[part[-1]].end] for part in sentences(raw, found)]


# Clitics


@pytest.mark.parametrize(
    ("raw", "start", "letters", "offset"),
    [
        ("والعراق", 0, 1, 1),
        ("وَالـعِراق", 0, 3, 5),
        ("قال وَّبـ", 4, 1, 7),
        ("قال", 1, 0, 1),
        ("قا\u200dل", 0, 2, 3),
    ],
)
def test_clitic_offset(raw: str, start: int, letters: int, offset: int) -> None:
    assert clitic_offset(raw, start, letters) == offset


@pytest.mark.parametrize("letters", [2, 9])
def test_clitic_offset_stays_in_the_word(letters: int) -> None:
    with pytest.raises(ValueError, match="fewer than"):
        clitic_offset("و قال", 0, letters)


# Farasa


def toy_segmenter(line: str) -> str:
    """As Farasa does it: brackets become words, clitics are divided by +, the alef of لل is restored."""
    segmented = []
    for word in re.sub(r"([\[\]])", r" \1 ", line).split():
        word = re.sub(r"^(و|ف|ك|ب)(?=\w{3})", r"\1+", word)
        word = re.sub(r"^((?:\w\+)?)لل(?=\w\w)", r"\1ل+ال+", word)
        word = re.sub(r"^((?:\w\+)*)ال(?=\w\w)", r"\1ال+", word)
        word = re.sub(r"(?<=\w\w)(ات|ها|ه|ك|ة)$", r"+\1", word)
        word = re.sub(r"(?<=\w\w)ك(?=\+)", "+ك", word)
        segmented.append(word)
    return " ".join(segmented)


def with_toy(name: str) -> Preprocessing:
    return replace(PREPROCESSING[name], segmenter=toy_segmenter)


@pytest.mark.parametrize(("name", "digits"), [("arabertv2", "12"), ("arabertv1", "١٢")])
def test_segments_are_the_form_of_the_raw_word(name: str, digits: str) -> None:
    raw = "زار والعِراقية للعراق ١٢: http://a.com [1]"
    assert [f"{word.form}={raw[word.start : word.end]}" for word in words(raw, with_toy(name))] == [
        *("زار=زار", "و+ ال+ عراقي +ة=والعِراقية", "ل+ ال+ عراق=للعراق"),
        *(f"{digits}=١٢", ":=:", "[رابط]=http://a.com"),
        *(["1=[1]"] if name == "arabertv2" else ["=[", "1=1]"]),
    ]


def test_kaf_is_a_prefix_or_a_suffix_by_its_place() -> None:
    scheme = replace(PREPROCESSING["arabertv2"], segmenter=lambda line: "ك+كتاب+ك ف+ك+ما كتاب+ك+ما")
    assert [word.form for word in words("ككتابك فكما كتابكما", scheme)] == [
        "ك+ كتاب +ك",
        "ف+ ك+ ما",
        "كتاب +ك ما",
    ]


def test_a_segmenter_may_drop_a_lone_mark() -> None:
    scheme = replace(PREPROCESSING["arabertv2"], segmenter=lambda line: line.replace(" \u0653", ""))
    assert words("قال \u0653 علي", scheme) == [Word("قال", 0, 3), Word("", 4, 5), Word("علي", 6, 9)]


@pytest.mark.parametrize("segmented", ["قال", "قال عمر", "قال علي عمر", ""])
def test_a_segmenter_that_changes_the_text_is_refused(segmented: str) -> None:
    with pytest.raises(ValueError, match="segmenter"):
        words("قال علي", replace(PREPROCESSING["arabertv2"], segmenter=lambda line: segmented))


class TestFarasaUnavailable:
    @pytest.fixture(autouse=True)
    def not_started(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr("shutil.which", lambda program: f"/bin/{program}")
        farasa._process.cache_clear()
        yield
        farasa._process.cache_clear()

    def test_java(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shutil.which", lambda program: None)
        with pytest.raises(FarasaUnavailable, match="Java"):
            words("قال", "arabertv2")

    def test_farasapy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "farasa.segmenter", None)
        with pytest.raises(FarasaUnavailable, match=r"pip install khabar\[farasa\]"):
            words("قال", "arabertv1")

    @pytest.mark.parametrize("starts", [True, False])
    def test_jar(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, starts: bool) -> None:
        class Segmenter:
            bin_dir = tmp_path

            def __init__(self, **options: bool) -> None:
                if not starts:
                    raise Exception("no network")

        monkeypatch.setitem(sys.modules, "farasa.segmenter", SimpleNamespace(FarasaSegmenter=Segmenter))
        with pytest.raises(FarasaUnavailable, match=re.escape("FarasaSegmenterJar.jar")):
            words("قال", "arabertv2")

    def test_text_without_words_needs_no_farasa(self) -> None:
        assert words(" ", "arabertv2") == []


# Any text at all


FRAGMENTS = [
    *(
        "قال",
        "العراق",
        "و",
        "ا",
        "ل",
        "ههه",
        "رابط",
        "\u06a4",
        "\u0671",
        "\u0653",
        "\u0670",
        "ﻻ",
        "ﷲ",
        "ﻣﺤ",
        "中",
    ),
    *(
        "\u064b",
        "\u064e\u0651",
        "\u0652",
        "\u0640",
        "\u0640\u0640",
        "\u200f",
        "\u200e",
        "\u200c",
        "\u202b",
        "\ufeff",
    ),
    *(
        "٣",
        "٢٠١",
        "۱",
        "7",
        "2011",
        "½",
        "x",
        "Abc",
        "é",
        "😀",
        "👨\u200d👩",
        "🇹🇳",
        "\ufe0f",
        "http",
        "https://",
        "www.",
    ),
    *(
        "www",
        ".com",
        "x.tn",
        "ab.comX",
        "a@b.org",
        "@",
        "@user",
        "://",
        "<br />",
        "<b>",
        "</p>",
        '<a href="',
        "<",
        ">",
    ),
    *(
        "&amp;",
        "&quot;",
        "&nbsp;",
        "&nbsp",
        "&lt;",
        "&gt",
        "&#1608;",
        "&#x200f;",
        "&#10;",
        "&#1;",
        "&fjlig;",
        "&bne;",
    ),
    *(
        "&notit;",
        "&",
        "AT&T",
        "[رابط]",
        "[ بريد ]",
        "[",
        "]",
        "[[",
        "(",
        ")",
        "«",
        "»",
        "“",
        "”",
        "【",
        '"',
        "'",
        "`",
    ),
    *(
        ".",
        "..",
        "…",
        "!",
        "؟",
        "?",
        "،",
        "؛",
        ":",
        "-",
        "–",
        "/",
        "\\",
        "_",
        "#",
        "%",
        "٪",
        "+",
        "*",
        "~",
        "^",
        "|",
        "=",
    ),
    *(
        " ",
        " ",
        " ",
        "   ",
        "\n",
        "\r\n",
        "\t",
        "\x0b",
        "\x1c",
        "\x85",
        "\xa0",
        "\u2003",
        "\u2028",
        "12/مايو/2010]",
    ),
]
TEXTS = st.one_of(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join), st.text(max_size=40))


def check_aligned(raw: str, aligned: AlignedText) -> None:
    assert len(aligned.text) == len(aligned.starts) == len(aligned.ends)
    assert all(a <= b for offsets in (aligned.starts, aligned.ends) for a, b in pairwise(offsets))
    assert all(0 <= a <= b <= len(raw) for a, b in zip(aligned.starts, aligned.ends, strict=True))


def check_words(raw: str, found: list[Word]) -> None:
    done = 0
    for word in found:
        assert done <= word.start < word.end <= len(raw)
        assert not raw[done : word.start].strip(), "white space only between words"
        assert raw[word.start : word.end] == raw[word.start : word.end].strip()
        assert word.form == " ".join(word.form.split())
        done = word.end
    assert not raw[done:].strip()


@settings(deadline=None, max_examples=400)
@given(TEXTS)
@pytest.mark.parametrize("name", PREPROCESSING)
def test_words_account_for_the_whole_text(name: str, raw: str) -> None:
    scheme = PREPROCESSING[name] if PREPROCESSING[name].segmenter is None else with_toy(name)
    found = words(raw, scheme)
    check_words(raw, found)
    aligned = preprocess(raw, scheme)
    check_aligned(raw, aligned)
    assert aligned.text == " ".join(word.form for word in found if word.form)
    if name == "none":
        assert all(word.form == raw[word.start : word.end] for word in found)


@settings(deadline=None, max_examples=400)
@given(TEXTS)
@pytest.mark.parametrize("name", ["none", "arabertv02"])
def test_sentences_divide_the_words(name: str, raw: str) -> None:
    found = words(raw, name)
    parts = sentences(raw, found)
    assert [i for part in parts for i in part] == list(range(len(found)))
    assert all(parts)


@settings(deadline=None, max_examples=400)
@given(TEXTS)
def test_substitution_equals_the_standard_library(raw: str) -> None:
    for pattern, replacement in [
        (r"(\w)(\W)", r"\2-\1"),
        (r"\s+", ""),
        (r"(\w)|(\W)", r"[\2]"),
        (r"\b", "|"),
    ]:
        aligned = AlignedText.of(raw).sub(re.compile(pattern), replacement)
        assert aligned.text == re.sub(pattern, replacement, raw)


# Parity with the reference


@cache
def reference(name: str) -> Callable[[str], str]:
    module = pytest.importorskip("arabert.preprocess", reason="the reference, arabert, is not installed")
    logging.disable(logging.WARNING)  # it warns of the option that keeps it from starting Farasa
    made = module.ArabertPreprocessor(MODELS[name], apply_farasa_segmentation=False)
    logging.disable(logging.NOTSET)
    if name in SEGMENTED:
        made.apply_farasa_segmentation = True
        made.farasa_segmenter = SimpleNamespace(segment=toy_segmenter)
        # A plus sign in the text leaves the reference with an empty token, and so with two spaces.
        return lambda raw: " ".join(made.preprocess(raw).split())
    preprocess_: Callable[[str], str] = made.preprocess
    return preprocess_


def check_parity(raw: str, name: str) -> None:
    found = words(raw, with_toy(name) if name in SEGMENTED else name)
    assert " ".join(word.form for word in found if word.form) == reference(name)(raw), raw
    check_words(raw, found)


@settings(deadline=None, max_examples=800)
@given(TEXTS)
@pytest.mark.parametrize("name", MODELS)
def test_parity_on_random_text(name: str, raw: str) -> None:
    # Here one of the reference's patterns, which can never match, takes exponential time to find out.
    assume(not re.search("@(https?|ftp)://", re.sub("[\u0640\u064b-\u0652]", "", html.unescape(raw))))
    check_parity(raw, name)


INDIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


@cache
def real_sentences() -> list[str]:
    """6,000 sentences of news and of an encyclopedia."""
    if not SHARED.is_dir():
        pytest.skip(f"no corpora at {SHARED.name}: parity on real text is not tested")
    found: list[str] = []
    with (
        (SHARED / "antcorpus" / "articles.jsonl").open(encoding="utf-8") as news,
        lzma.open(SHARED / "wikipedia" / "articles.jsonl.xz", "rt", encoding="utf-8") as encyclopedia,
    ):
        for lines in (news, encyclopedia):
            texts = (json.loads(line)["text"] for line in lines)
            found.extend(islice((sentence for text in texts for sentence in split(text)), 3000))
    return found


def noised(sentence: str, rng: random.Random) -> str:
    """The sentence with up to eight insertions anywhere, half of them inside words."""
    for _ in range(rng.randint(1, 8)):
        place = rng.randint(0, len(sentence))
        space = rng.choice(["", " "])
        sentence = sentence[:place] + space + rng.choice(FRAGMENTS) + space + sentence[place:]
    return sentence.translate(INDIC) if rng.random() < 0.3 else sentence


def some(sentences_: list[str], name: str) -> list[str]:
    """All of them; one in five where the toy segmenter, which is slow, reads them twice."""
    return sentences_[::5] if name in SEGMENTED else sentences_


@pytest.mark.parametrize("name", MODELS)
def test_parity_on_real_sentences(name: str) -> None:
    for sentence in some(real_sentences(), name):
        check_parity(sentence, name)


@pytest.mark.parametrize("name", MODELS)
def test_parity_on_noised_sentences(name: str) -> None:
    rng = random.Random(20)
    for sentence in some(real_sentences(), name):
        check_parity(noised(sentence, rng), name)


def test_parity_on_whole_articles() -> None:
    sentences_ = real_sentences()
    for start in range(0, len(sentences_), 500):
        check_parity("\n".join(sentences_[start : start + 500]), "arabertv02")


@pytest.mark.parametrize(
    ("surface", "folded"),
    [
        ("الـعِـراق", "العراق"),
        ("أحمد وإيمان وآمال ٱلله", "احمد وايمان وامال الله"),
        ("\u0627\u0654حمد", "احمد"),  # a hamza written as a mark of its own
        ("\u0648\u064f\u0654جد", "ؤجد"),  # on و it is a letter, also behind a damma
        ("مستشفى غزة", "مستشفي غزه"),
        ("عام ٢٠١١ أو ۲۰۱۱", "عام 2011 او 2011"),
        (" حزب \n\t\u00a0الله ", "حزب الله"),
        ("\u200fحماس\u200e\u202c\ufeff", "حماس"),
        ("Café F-16", "Café F-16"),  # nothing of what other scripts write
        ("\u064b\u0640", ""),
    ],
)
def test_surfaces_are_folded_for_comparing(surface: str, folded: str) -> None:
    assert fold(surface) == folded


@given(
    st.text(
        st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("اأؤىة\u0640\u0654\u064b\u200d \u0301eé"))
    )
)
def test_folding_is_done_once_and_sees_no_canonical_difference(text: str) -> None:
    once = fold(text)
    assert fold(once) == once
    assert fold(unicodedata.normalize("NFD", text)) == fold(unicodedata.normalize("NFC", text)) == once
