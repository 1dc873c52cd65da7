"""The labeller that ships with the package, and the builder of the encoder that it was trained from.

The sentence: «أعلنت القيادة المركزية مقتل اثنين من قيادات تنظيم داعش.», "Central Command announced
the killing of two leaders of Islamic State". The shipped folder must cut it, and any Arabic, without a hole;
the builder is run on a tiny source file that the test writes itself.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import lzma
import struct
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from transformers import AutoModel, AutoTokenizer, BertModel, PreTrainedTokenizerBase

import khabar
from khabar import features
from khabar.encoder import pretrained
from khabar.ontology import Ontology
from khabar.tagger import Tagger

SENTENCE = "أعلنت القيادة المركزية مقتل اثنين من قيادات تنظيم داعش."
FOLDER = Path(khabar.__file__).parent / "compact"
ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "build_compact.py"


def load_script() -> ModuleType:
    """The build script as a module."""
    spec = importlib.util.spec_from_file_location("build_compact", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


builder: Any = load_script()


# The shipped folder


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(FOLDER)
    return loaded


@pytest.fixture(scope="module")
def encoder() -> BertModel:
    """What `model=compact` trains on from: the labeller's encoder, without its heads."""
    loaded: BertModel = pretrained("compact", attention_dropout=0.0)[1]
    return loaded


def test_weights_are_float16_and_small() -> None:
    weights = FOLDER / "model.safetensors"
    assert weights.stat().st_size < 60_000_000
    with safe_open(weights, framework="np") as tensors:
        assert {tensors.get_slice(name).get_dtype() for name in tensors.keys()} == {"F16"}  # noqa: SIM118


def test_the_labeller_answers_every_layer_of_the_guidelines() -> None:
    labeller = Tagger.load(FOLDER, "cpu")
    assert set(labeller.reader.heads) == set(features.HEADS)
    assert labeller.reader.ontology == Ontology.load(ROOT / "configs" / "ontology" / "ahdath.yaml")
    assert set(labeller.temperatures) == set(features.HEADS)


def test_the_encoder_of_the_labeller_loads_whole(encoder: BertModel) -> None:
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    assert all(bool(parameter.isfinite().all()) for parameter in encoder.parameters())


def test_special_tokens(tokenizer: PreTrainedTokenizerBase, encoder: BertModel) -> None:
    assert tokenizer.is_fast
    assert (tokenizer.cls_token, tokenizer.sep_token) == ("<s>", "</s>")
    assert (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id) == (0, 1, 2)
    assert (tokenizer.unk_token_id, tokenizer.mask_token_id) == (3, len(tokenizer) - 1)
    assert encoder.embeddings.word_embeddings.weight.shape == (len(tokenizer), 384)
    assert tokenizer.model_max_length == encoder.config.max_position_embeddings == 512


def test_sentence_comes_back(tokenizer: PreTrainedTokenizerBase) -> None:
    encoded = tokenizer(SENTENCE, return_offsets_mapping=True)
    assert tokenizer.decode(encoded["input_ids"], skip_special_tokens=True) == SENTENCE
    assert tokenizer.unk_token_id not in encoded["input_ids"]
    covered = {index for start, end in encoded["offset_mapping"] for index in range(start, end)}
    assert covered >= {index for index, character in enumerate(SENTENCE) if not character.isspace()}


def test_pair_marks_its_second_segment(tokenizer: PreTrainedTokenizerBase) -> None:
    encoded = tokenizer("مقتل", "هجوم")
    assert encoded.tokens() == ["<s>", "▁مقتل", "</s>", "</s>", "▁هجوم", "</s>"]
    assert encoded["token_type_ids"] == [0, 0, 0, 1, 1, 1]


def test_words_one_by_one_are_cut_as_in_text(tokenizer: PreTrainedTokenizerBase) -> None:
    words = ["قال", '"', "أنس", '"', ":", "قتل", "3", "(", "في", "دمشق", ")", "،", "[رابط]", "."]
    one_by_one = tokenizer(words, is_split_into_words=True)
    assert one_by_one["input_ids"] == tokenizer(" ".join(words))["input_ids"]
    assert set(one_by_one.word_ids()) == {None, *range(len(words))}


def test_every_common_character_has_a_piece(tokenizer: PreTrainedTokenizerBase) -> None:
    assert builder.missing_characters(Tokenizer.from_file(str(FOLDER / "tokenizer.json"))) == []


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("\ufee3\ufed8\ufe98\ufede", "مقتل"),  # presentation forms
        ("دا\u0001عش", "داعش"),  # control characters vanish
        ("تنظيم\u200fداعش", "تنظيم داعش"),  # direction marks part words
        ("تنظيم \n\t داعش", "تنظيم داعش"),
        ("تنظيم▁داعش", "تنظيم داعش"),  # nobody smuggles a word mark in
    ],
)
def test_normal_forms(tokenizer: PreTrainedTokenizerBase, written: str, read: str) -> None:
    assert tokenizer(written)["input_ids"] == tokenizer(read)["input_ids"]


def test_card_gives_the_sizes_of_the_files() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in ("config.json", "khabar.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        assert f"| `{name}` | {(FOLDER / name).stat().st_size:,} |" in card


# The builder, on a source file small enough to write here

Values = npt.NDArray[np.float32]
HIDDEN, LAYERS, HEADS, FEED_FORWARD, POSITIONS, SEGMENTS = 32, 1, 4, 64, 192, 2
SPARE_ROWS = 3  # the real table too has more rows than pieces


def four_bit(matrix: Values, scale: float) -> bytes:
    """The blocks of a matrix whose values are -8..7 times the scale."""
    raw = b""
    for block in matrix.reshape(-1, 32):
        nibbles = np.round(block / scale).astype(int) + 8
        raw += struct.pack("<e", scale) + bytes(
            int(low | high << 4) for low, high in zip(nibbles[:16], nibbles[16:], strict=True)
        )
    return raw


def tiny_pieces() -> list[tuple[str, float]]:
    """XLM-R's special tokens, each letter of the check, three words, and one piece that no text uses."""
    letters = sorted({chr(code) for code in range(0x21, 0x7F)} | set("،؛؟«»“”‘’–—•°٪€پچڤگژ"))
    letters += [chr(code) for code in (*range(0x0621, 0x063B), *range(0x0641, 0x064B), *range(0x0660, 0x066A))]
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    pieces += [("▁مقتل", -5.0), ("▁داعش", -6.0), ("稣稣", -7.0), ("ات", -7.5)]
    return [*pieces, *((letter, -9.0) for letter in letters), ("<mask>", 0.0)]


def tiny_tensors(vocabulary: int) -> dict[str, tuple[int, Values]]:
    """Kind and values of every tensor: four-bit ones are quarters, float32 ones anything."""
    random = np.random.default_rng(7)

    def quarters(rows: int, columns: int) -> tuple[int, Values]:
        values: Values = random.integers(-8, 8, (rows, columns)).astype(np.float32) * np.float32(0.25)
        return 1, values

    def floats(*shape: int) -> tuple[int, Values]:
        values: Values = random.standard_normal(shape, dtype=np.float32)
        return 0, values

    tensors = {
        "emb.word": quarters(vocabulary, HIDDEN),
        "emb.pos": floats(POSITIONS, HIDDEN),
        "emb.type": floats(SEGMENTS, HIDDEN),
        "emb.ln.w": floats(HIDDEN),
        "emb.ln.b": floats(HIDDEN),
    }
    for name, out, into in [
        *((name, HIDDEN, HIDDEN) for name in ("q", "k", "v", "ao")),
        ("fi", FEED_FORWARD, HIDDEN),
        ("fo", HIDDEN, FEED_FORWARD),
    ]:
        tensors[f"l0.{name}.w"] = quarters(out, into)
        tensors[f"l0.{name}.b"] = floats(out)
    for name in ("aln", "oln"):
        tensors[f"l0.{name}.w"] = floats(HIDDEN)
        tensors[f"l0.{name}.b"] = floats(HIDDEN)
    return tensors


def write_source(pieces: list[tuple[str, float]], tensors: dict[str, tuple[int, Values]]) -> bytes:
    """The bytes of an E5S1 file."""
    forms = [piece.encode() for piece, _ in pieces]
    offsets = np.cumsum([0, *map(len, forms)]).tolist()
    rows = len(pieces) + SPARE_ROWS
    head = struct.pack("<4sI", b"E5S1", 1)
    head += struct.pack("<7ifi", HIDDEN, LAYERS, HEADS, FEED_FORWARD, rows, POSITIONS, SEGMENTS, 1e-12, 32)
    head += struct.pack("<5iQ", len(pieces), 0, 2, 1, 3, offsets[-1])
    head += struct.pack(f"<{len(offsets)}I", *offsets)
    head += struct.pack(f"<{len(pieces)}f", *(score for _, score in pieces)) + b"".join(forms)
    head += struct.pack("<iI", 1, 9) + struct.pack("<IBI", 0xA0, 1, 0x20)
    head += struct.pack("<i", len(tensors))
    bodies = {
        name: four_bit(value, 0.25) if kind else value.astype("<f4").tobytes()
        for name, (kind, value) in tensors.items()
    }
    offset = len(head) + sum(2 + len(name) + 21 for name in tensors)
    for name, (kind, value) in tensors.items():
        head += struct.pack("<H", len(name)) + name.encode()
        head += struct.pack("<BIQQ", kind, value.size, offset, len(bodies[name]))
        offset += len(bodies[name])
    return head + b"".join(bodies.values())


@pytest.fixture(scope="module")
def pieces() -> list[tuple[str, float]]:
    return tiny_pieces()


@pytest.fixture(scope="module")
def tensors(pieces: list[tuple[str, float]]) -> dict[str, tuple[int, Values]]:
    return tiny_tensors(len(pieces) + SPARE_ROWS)


@pytest.fixture(scope="module")
def data(pieces: list[tuple[str, float]], tensors: dict[str, tuple[int, Values]]) -> bytes:
    return write_source(pieces, tensors)


def test_a_block_by_hand() -> None:
    # Low nibbles are the first sixteen values, high nibbles the last; eight is zero.
    raw = struct.pack("<e", 0.5) + bytes([0x80, 0x8F, 0xF8]) + bytes([0x88] * 13)
    (row,) = builder.decode_blocks(raw, 1, 32)
    assert row[:3].tolist() == [-4.0, 3.5, 0.0]
    assert row[16:19].tolist() == [0.0, 0.0, 3.5]
    assert not row[3:16].any()
    assert not row[19:].any()


def test_blocks_must_fill_the_matrix() -> None:
    with pytest.raises(ValueError, match="1 blocks of 32 values do not fill a matrix of 2 x 32"):
        builder.decode_blocks(bytes(18), 2, 32)


def test_source_is_read_back(
    data: bytes, pieces: list[tuple[str, float]], tensors: dict[str, tuple[int, Values]]
) -> None:
    source = builder.parse_source(data)
    assert source.pieces == tuple(pieces)
    assert (source.bos, source.pad, source.eos, source.unk) == (0, 1, 2, 3)
    assert (source.shape.hidden, source.shape.heads, source.shape.segments) == (HIDDEN, HEADS, SEGMENTS)
    for name, (kind, value) in tensors.items():
        read = source.matrix(name, value.shape[1]) if kind else source.floats(name, *value.shape)
        np.testing.assert_array_equal(read, value)
    rows = np.array([4, 0, 7])
    np.testing.assert_array_equal(source.matrix("emb.word", HIDDEN, rows), tensors["emb.word"][1][rows])


def test_bad_sources_are_named(data: bytes) -> None:
    with pytest.raises(ValueError, match="not an E5S1 file"):
        builder.parse_source(b"GGUF" + data[4:])
    with pytest.raises(ValueError, match="version 2"):
        builder.parse_source(data[:4] + struct.pack("<I", 2) + data[8:])
    with pytest.raises(ValueError, match="cut off"):
        builder.parse_source(data[:200])
    source = builder.parse_source(data[:-4])
    with pytest.raises(ValueError, match=r"'l0\.oln\.b' ends beyond"):
        source.floats("l0.oln.b", HIDDEN)
    with pytest.raises(ValueError, match="no tensor 'l7"):
        source.floats("l7.q.b", HIDDEN)
    with pytest.raises(ValueError, match="kind 1, expected 0"):
        source.floats("emb.word", -1)


def test_frequent_pieces_are_kept_and_ties_go_to_the_lower_id(pieces: list[tuple[str, float]]) -> None:
    extra = [*pieces, ("▁أ稣", -1.0), ("▁ب稣", -1.0), ("▁ج稣", -1.0)]
    counts = np.zeros(len(extra), dtype=np.int64)
    counts[-3:] = 2, 2, 5
    kept = builder.choose_pieces(extra, counts, 2)
    assert {extra[index][0] for index in kept} >= {"<s>", "<mask>", "▁", "a", "ي", "،", "▁أ稣", "▁ج稣"}
    assert len(extra) - 2 not in kept
    assert kept.tolist() == sorted(kept.tolist())


def test_spaced_text() -> None:
    assert " ".join(builder.spaced("قُتِل «3أشخاص» في ١٤يناير.").split()) == "قتل « 3 أشخاص » في 14 يناير ."


def test_articles_are_read_plain_and_compressed(tmp_path: Path) -> None:
    line = json.dumps({"id": "1", "text": SENTENCE}, ensure_ascii=False) + "\n"
    (tmp_path / "a.jsonl").write_text(line + "\n" + line, encoding="utf-8")
    (tmp_path / "a.jsonl.xz").write_bytes(lzma.compress(line.encode()))
    (tmp_path / "bad.jsonl").write_text(line + '{"txt": ""}\n', encoding="utf-8")
    assert list(builder.read_articles(tmp_path / "a.jsonl")) == [SENTENCE, SENTENCE]
    assert list(builder.read_articles(tmp_path / "a.jsonl.xz")) == [SENTENCE]
    with pytest.raises(ValueError, match=r'bad\.jsonl, line 2: expected an object with a "text"'):
        list(builder.read_articles(tmp_path / "bad.jsonl"))


def test_build_from_end_to_end(
    tmp_path: Path, data: bytes, pieces: list[tuple[str, float]], tensors: dict[str, tuple[int, Values]]
) -> None:
    (tmp_path / "tiny.bin").write_bytes(data)
    line = json.dumps({"text": "مقتل قيادات داعش"}, ensure_ascii=False)
    (tmp_path / "news.jsonl").write_text(line, encoding="utf-8")
    (tmp_path / "article.txt").write_text("مقتل قيادات.", encoding="utf-8")
    arguments = [str(tmp_path / "tiny.bin"), "--text", f"News={tmp_path / 'news.jsonl'}"]
    arguments += ["--held-out", f"More={tmp_path / 'news.jsonl'}", "--article", str(tmp_path / "article.txt")]
    arguments += ["--pieces", "50"]

    assert builder.main([*arguments, "--out", str(tmp_path / "first")]) == 1  # not the file it knows
    assert not (tmp_path / "first").exists()
    for out in ("first", "second", "first"):  # the third replaces the first
        assert builder.main([*arguments, "--any-source", "--out", str(tmp_path / out)]) == 0
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"first", "second"}

    def digests(folder: str) -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / folder).iterdir()}

    assert digests("first") == digests("second")
    card = (tmp_path / "first" / "README.md").read_text(encoding="utf-8")
    assert "- News: 1 articles, 3 words" in card
    assert "| More, held out, as written | 3 |" in card
    assert str(tmp_path) not in card

    # The piece that no text uses is gone; every other one still has its own embedding.
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "first")
    encoder = AutoModel.from_pretrained(tmp_path / "first", dtype=torch.float32, add_pooling_layer=False)
    assert "稣稣" not in tokenizer.get_vocab()
    assert len(tokenizer) == len(pieces) - 1
    assert tokenizer.tokenize("مقتل قيادات") == ["▁مقتل", "▁", "ق", "ي", "ا", "د", "ات"]
    rows = encoder.get_input_embeddings().weight.detach().numpy()
    for index, (piece, _) in enumerate(pieces):
        if piece != "稣稣":
            row = rows[tokenizer.convert_tokens_to_ids(piece)]
            np.testing.assert_array_equal(row, tensors["emb.word"][1][index])


def test_comparison_counts_words_cut_alike(pieces: list[tuple[str, float]]) -> None:
    full = builder.build_tokenizer(pieces, 3)
    kept = np.array([index for index, (piece, _) in enumerate(pieces) if piece != "▁داعش"])
    trimmed = builder.build_tokenizer([pieces[index] for index in kept], 3)
    cutting = builder.compare("News", Counter({"مقتل": 3, "داعش": 1}), full, trimmed, kept, 3)
    assert (cutting.words, cutting.subwords) == (4, 3 + 5)
    assert (cutting.covered, cutting.same) == (0.75, 0.75)
    assert (cutting.unknown, cutting.unknown_before) == (0, 0)
