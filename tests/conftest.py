"""«هاجم الجيش السوري مواقع تنظيم داعش في الرقة يوم الأحد»: the news, the types and the tiny encoders of the tests.

Everything is made in-process: no test reads a network, and none needs an encoder that somebody trained.
"""

from __future__ import annotations

import os

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import Unigram, WordPiece
from transformers import (
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    TrainingArguments,
)

from khabar import corpus as corpora
from khabar.arabic import words
from khabar.corpus import Corpus
from khabar.document import Document, Event, Mention
from khabar.features import HEADS
from khabar.ontology import Ontology
from khabar.tagger import Tagger
from khabar.train import train

torch.set_num_threads(1)
# How long an example takes says more about the machine than about the code. CI draws the same examples every time,
# so that a change is judged by what it changes; elsewhere they are new with each run.
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

_ONTOLOGY = Ontology.from_json(
    "أخبار",
    {"PER": "شخص", "ORG": "منظمة", "GPE": "بلد أو مدينة", "TIME": "زمن"},
    {
        "Attack": {"gloss": "هجوم", "roles": ["Attacker", "Target", "Place", "Time"]},
        "Meet": {"gloss": "لقاء", "roles": ["Entity", "Place"]},
        "Die": {"gloss": "موت", "roles": ["Victim", "Place", "Time"]},
    },
)


def _article(
    name: str,
    text: str,
    entities: Sequence[str] | None = None,
    events: Sequence[str] | None = None,
    meta: dict[str, Any] | None = None,
) -> Document:
    """Write a document as people do: ``"ORG الجيش"``, ``"Attack هاجم: Attacker الجيش, Place الرقة"``.

    Each surface stands where it first occurs in the text, so a name behind a clitic starts behind it.
    """

    def mention(label_and_surface: str) -> Mention:
        label, _, surface = label_and_surface.strip().partition(" ")
        start = text.index(surface)
        return Mention(start, start + len(surface), label)

    def event(record: str) -> Event:
        trigger, _, arguments = record.partition(":")
        return Event(mention(trigger), tuple(mention(part) for part in arguments.split(",") if part))

    return Document(
        name,
        text,
        None if entities is None else tuple(map(mention, entities)),
        None if events is None else tuple(map(event, events)),
        meta or {},
    )


_DOCUMENTS = (
    _article(
        "الرقة",
        "هاجم الجيش السوري مواقع تنظيم داعش في الرقة يوم الأحد.",
        ["ORG الجيش السوري", "ORG تنظيم داعش", "GPE الرقة", "TIME يوم الأحد"],
        ["Attack هاجم: Attacker الجيش السوري, Target مواقع تنظيم داعش, Place الرقة, Time يوم الأحد"],
        {"source": "سانا", "year": 2016},
    ),
    _article(
        "بغداد",  # ب before the name of a city
        "التقى وزير الخارجية المصري سامح شكري نظيره العراقي ببغداد.",
        ["PER سامح شكري", "GPE بغداد"],
        ["Meet التقى: Entity سامح شكري, Place بغداد"],
    ),
    _article(
        "كركوك",  # written with tashkeel
        "قُتِلَ خَمسةُ جُنودٍ في كركوكَ صباحَ الاثنين.",
        ["GPE كركوكَ", "TIME صباحَ الاثنين"],
        ["Die قُتِلَ: Victim خَمسةُ جُنودٍ, Place كركوكَ, Time صباحَ الاثنين"],
    ),
    _article(
        "لبنان",  # و before a trigger
        "زار الرئيس الفرنسي إيمانويل ماكرون لبنان واجتمع بميشال عون.",
        ["PER إيمانويل ماكرون", "GPE لبنان", "PER ميشال عون"],
        ["Meet اجتمع: Entity إيمانويل ماكرون, Entity ميشال عون, Place لبنان"],
    ),
    _article(
        "حلب",  # two events
        "قصفت الطائرات مدينة حلب فقتل عشرة مدنيين.",
        ["GPE حلب"],
        ["Attack قصفت: Attacker الطائرات, Target مدينة حلب", "Die قتل: Victim عشرة مدنيين"],
    ),
    _article(
        "أمم",  # لل before a name: two letters
        "أعلنت الأمم المتحدة أن المساعدات للعراق وسوريا مستمرة.",
        ["ORG الأمم المتحدة", "GPE عراق", "GPE سوريا"],
        [],
    ),
    _article("أرامكو", "وصل وفد شركة أرامكو إلى لندن.", ["ORG شركة أرامكو", "GPE لندن"], None),
    _article("مقديشو", "انفجرت سيارة مفخخة وسط مقديشو.", None, ["Attack انفجرت: Place مقديشو"]),
    _article("لا جديد", "لا جديد في نشرة اليوم.", [], []),
    _article(
        "طرابلس",  # a headline, two sentences, three events
        "بيروت - رويترز\nأطلق مسلحون النار على دورية للجيش اللبناني في طرابلس. وقال مصدر إن جنديا قتل في الهجوم.",
        ["GPE بيروت", "ORG رويترز", "ORG جيش اللبناني", "GPE طرابلس"],
        [
            "Attack أطلق: Attacker مسلحون, Target دورية, Place طرابلس",
            "Die قتل: Victim جنديا",
            "Attack الهجوم",
        ],
    ),
    _article("أمس", "وقع هجوم أمس.", ["TIME أمس"], ["Attack هجوم: Time أمس"]),
    _article(
        "أبها",  # an emoji, direction marks, a web address
        "عاجل 🔴 استهدف \u200fالحوثيون\u200f مطار أبها http://t.co/x1 ولا إصابات",
        ["ORG الحوثيون"],
        ["Attack استهدف: Attacker الحوثيون, Target مطار أبها"],
    ),
)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What tests tokenise is kept where no other run looks."""
    os.environ["KHABAR_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def ontology() -> Ontology:
    """Four types of entities, three of events."""
    return _ONTOLOGY


@pytest.fixture(scope="session")
def documents() -> tuple[Document, ...]:
    """A dozen annotated articles."""
    return _DOCUMENTS


def _pieces() -> tuple[list[str], list[str]]:
    """The characters of the documents, and every second of their words: the others are read in pieces."""
    texts = [document.text for document in _DOCUMENTS] + [event.gloss for event in _ONTOLOGY.events.values()]
    forms = {word.form for text in texts for word in words(text) if len(word.form) > 1}
    return sorted(set("".join(texts)) - set(" \n")), sorted(forms)[::2]


def _save_tokenizer(folder: Path, tokenizer: Tokenizer, **special: str) -> None:
    fast: Any = PreTrainedTokenizerFast  # untyped in transformers
    fast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained BERT of two layers with a WordPiece vocabulary and two segments."""
    folder = tmp_path_factory.mktemp("bert")
    characters, forms = _pieces()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = dict.fromkeys([*special, *characters, *(f"##{c}" for c in characters), *forms])
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    _save_tokenizer(folder, tokenizer, **names)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=160,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def one_segment_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained RoBERTa of two layers with a unigram vocabulary and one segment."""
    folder = tmp_path_factory.mktemp("roberta")
    characters, forms = _pieces()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = dict.fromkeys([*special, "▁", *characters, *(f"▁{form}" for form in forms)])
    tokenizer = Tokenizer(Unigram([(piece, -float(len(piece) == 1)) for piece in pieces], unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>"}
    _save_tokenizer(folder, tokenizer, unk_token="<unk>", **names)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=162,
        type_vocab_size=1,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )
    RobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_tagger(encoder: Path, ontology: Ontology) -> Callable[..., Tagger]:
    """Make an untrained tagger, always the same; heads, encoder and window settings may be given."""

    def make(heads: Sequence[str] = HEADS, encoder: Path = encoder, **settings: Any) -> Tagger:
        torch.manual_seed(1)
        return Tagger.create(str(encoder), ontology, heads, **settings)

    return make


@pytest.fixture(scope="session")
def untrained(make_tagger: Callable[..., Tagger]) -> Tagger:
    """An untrained tagger of every layer, with small windows."""
    return make_tagger(length=96, context=16, argument_length=128)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, ontology: Ontology, documents: tuple[Document, ...]) -> Corpus:
    """A prepared corpus whose train and dev are the same articles, so that learning by heart is a good score."""
    folder = tmp_path_factory.mktemp("corpus")
    renamed = [Document(f"dev/{d.id}", d.text, d.entities, d.events, d.meta) for d in documents]
    held_out = [Document(f"test/{d.id}", d.text, d.entities, d.events, d.meta) for d in documents[:4]]
    corpora.write(folder, "أخبار", ontology, {"train": list(documents), "dev": renamed, "test": held_out})
    return Corpus(folder)


@pytest.fixture(scope="session")
def short_run() -> Callable[..., Callable[..., TrainingArguments]]:
    """Training arguments for the tiny encoder, as `khabar.train.train` takes them; fields may be given."""

    def make(**fields: Any) -> Callable[..., TrainingArguments]:
        defaults = {"num_train_epochs": 2, "per_device_train_batch_size": 4, "logging_steps": 2}
        quiet = {"report_to": [], "disable_tqdm": True}
        return partial(TrainingArguments, **{**defaults, **quiet, **fields})

    return make


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    encoder: Path,
    corpus: Corpus,
    short_run: Callable[..., Callable[..., TrainingArguments]],
) -> Path:
    """The model folder of a run that knows the corpus by heart."""
    return train(
        partial(Tagger.create, str(encoder)),
        {"heads": list(HEADS), "length": 96, "context": 16, "argument_length": 128},
        corpus,
        short_run(num_train_epochs=30, report_to=["tensorboard"]),
        tmp_path_factory.mktemp("runs") / "run",
        learning_rate=5e-3,
        head_learning_rate=5e-3,
        patience=30,
        precision="float32",
        record={"epochs": 30},
    )
