"""«التقى سامح شكري نظيره العراقي ببغداد»: a tagger labels it the same from memory and from its folder."""

from __future__ import annotations

import io
import json
import shutil
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from khabar.batches import features
from khabar.calibration import temperature
from khabar.contract import COMPACT, ModelError
from khabar.document import DataError, Document, Event, Mention
from khabar.encoder import locate, pick_device
from khabar.features import ARGUMENTS, ENTITIES, HEADS, TRIGGERS
from khabar.formats import jsonl
from khabar.metrics import score
from khabar.model import Collator
from khabar.ontology import Ontology
from khabar.tagger import Tagger

MakeTagger = Callable[..., Tagger]
Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def tagger(trained: Path) -> Tagger:
    """The tagger that knows the corpus by heart."""
    return Tagger.load(trained, "cpu")


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of its folder."""
    return shutil.copytree(trained, tmp_path / "model")


def dumped(documents: list[Document]) -> list[Any]:
    """Everything of the documents, scores included."""
    return [
        (d.id, d.text, d.meta, d.events, [(m, m.score) for m in d.mentions()], d.entities is None) for d in documents
    ]


# Its folder


@pytest.mark.parametrize("segments", [True, False])
def test_what_is_saved_is_loaded(
    segments: bool,
    make_tagger: MakeTagger,
    encoder: Path,
    one_segment_encoder: Path,
    documents: tuple[Document, ...],
    tmp_path: Path,
) -> None:
    first = make_tagger(encoder=encoder if segments else one_segment_encoder, length=96, context=8)
    first.temperatures, first.thresholds = {ENTITIES: 1.25}, {ENTITIES: 0.4}
    first.meta = {"data": "أخبار", "dev": {"entities": 0.5}}
    first.save(tmp_path / "new" / "model")
    second = Tagger.load(tmp_path / "new" / "model", "cpu")
    assert second.reader.segments is segments
    assert (second.reader.length, second.reader.context, second.reader.preprocessing) == (96, 8, "arabertv02")
    assert second.reader.ontology == first.reader.ontology
    assert (second.temperatures, second.thresholds, second.meta) == (first.temperatures, first.thresholds, first.meta)
    weights, again = first.model.state_dict(), second.model.state_dict()
    assert weights.keys() == again.keys()
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert dumped(list(first.tag(documents))) == dumped(list(second.tag(documents)))
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "model"]


def test_training_goes_on_from_the_encoder_of_a_model_folder(folder: Path, tagger: Tagger, ontology: Ontology) -> None:
    again = Tagger.create(str(folder), ontology, ["entities"], length=128, argument_length=128)
    kept = tagger.model.encoder.state_dict()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in again.model.encoder.state_dict().items())
    assert set(again.model.heads) == {"entities"}


def test_half_the_size_labels_the_same(tmp_path: Path, tagger: Tagger, documents: tuple[Document, ...]) -> None:
    tagger.save(tmp_path / "whole")
    tagger.save(tmp_path / "half", half=True)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.6 * sizes[1]
    assert list(Tagger.load(tmp_path / "half").tag(documents)) == list(tagger.tag(documents))


def test_saving_replaces_the_folder_as_a_whole(folder: Path, tagger: Tagger) -> None:
    (folder / "stale.bin").write_text("old")
    tagger.save(folder)
    assert not (folder / "stale.bin").exists()
    assert Tagger.load(folder, "cpu").reader.heads == HEADS


def test_a_folder_that_cannot_be_written_leaves_the_old_one(
    folder: Path, tagger: Tagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("khabar.tagger.save_file", no_space)
    with pytest.raises(OSError, match="no space left"):
        tagger.save(folder)
    assert Tagger.load(folder, "cpu").temperatures == tagger.temperatures
    assert list(folder.parent.iterdir()) == [folder]


def edit(**changes: Any) -> Change:
    """Change the contract: a key to a value, ``None`` takes it away, a function makes it from the old one."""

    def change(folder: Path) -> None:
        contract = json.loads((folder / "khabar.json").read_text(encoding="utf-8"))
        for key, value in changes.items():
            old = contract.pop(key)
            if value is not None:
                contract[key] = value(old) if callable(value) else value
        (folder / "khabar.json").write_text(json.dumps(contract), encoding="utf-8")

    return change


def grow_tokenizer(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["مفردة"])
    tokenizer.save_pretrained(folder)


def change_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def apply(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors")

    return apply


REFUSED: dict[str, tuple[Change, str]] = {
    "nothing there": (shutil.rmtree, "not a folder that khabar saved"),
    "no contract": (lambda folder: (folder / "khabar.json").unlink(), "not a folder that khabar saved"),
    "contract cut off": (lambda folder: (folder / "khabar.json").write_text('{"format": 1,'), "not JSON"),
    "contract of another kind": (lambda folder: (folder / "khabar.json").write_text("[]"), "format None"),
    "later format": (edit(format=2), "format 2, this version of khabar reads format 1"),
    "key missing": (edit(temperatures=None, meta=None), r"lacks \['meta', 'temperatures'\]"),
    "unknown preprocessing": (edit(reader=lambda old: old | {"preprocessing": "bert"}), "preprocessing 'bert'"),
    "unknown setting": (edit(reader=lambda old: old | {"stride": 3}), "stride"),
    "windows longer than the encoder": (edit(reader=lambda old: old | {"length": 1000}), "1000"),
    "unknown head": (edit(heads=lambda old: old | {"relations": 3}), "relations"),
    "heads of another size": (edit(heads=lambda old: old | {"entities": 11}), "its ontology needs"),
    "type added to the ontology": (
        edit(ontology=lambda old: old | {"entities": {**old["entities"], "WEA": "سلاح"}}),
        "its ontology needs",
    ),
    "broken ontology": (edit(ontology=lambda old: old | {"events": {"Attack": "هجوم"}}), "needs a gloss"),
    "other tokenizer": (grow_tokenizer, "pieces, the model was made with"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "the contract cannot be honoured"),
    "no encoder configuration": (lambda folder: (folder / "config.json").unlink(), r"config\.json"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors"),
    "weights cut off": (lambda folder: (folder / "model.safetensors").write_bytes(b"\x08"), "model.safetensors"),
    "weight missing": (change_weights(lambda w: w.pop("heads.entities.bias")), "heads.entities.bias"),
    "weight too many": (change_weights(lambda w: w.update(other=torch.zeros(1))), "other"),
    "weight of another shape": (
        change_weights(lambda w: w.update({"heads.triggers.bias": torch.zeros(3)})),
        "heads.triggers.bias",
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_folder_that_does_not_fit_its_contract_is_refused(reason: str, folder: Path) -> None:
    change, message = REFUSED[reason]
    change(folder)
    with pytest.raises(ModelError, match=message) as refusal:
        Tagger.load(folder, "cpu")
    assert str(folder) in str(refusal.value)


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == pick_device("cpu") == torch.device("cpu")
    with pytest.raises(ModelError, match="use device=cpu"):
        pick_device("cuda:1")


# Encoders


def test_windows_are_no_longer_than_the_encoder_reads(make_tagger: MakeTagger, one_segment_encoder: Path) -> None:
    assert make_tagger(length=512).reader.length == 160
    roberta = make_tagger(encoder=one_segment_encoder).reader
    assert (roberta.length, roberta.argument_length) == (160, 128)  # of 162 positions two are not for subwords


def test_the_longest_window_can_be_read(make_tagger: MakeTagger, encoder: Path, one_segment_encoder: Path) -> None:
    text = "هاجم الجيش السوري مواقع تنظيم داعش " * 60
    for path in (encoder, one_segment_encoder):
        tagger = make_tagger((ENTITIES,), encoder=path, length=512)
        window = tagger.reader.text_pass(tagger.reader.read(Document("طويل", text)))[0]
        assert 150 < len(window.input_ids) <= 160
        assert np.isfinite(tagger.logits([window])[0][ENTITIES]).all()


def test_the_embedded_encoder_and_folders_need_no_hub(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", pytest.fail)
    assert locate("compact") == str(COMPACT)
    assert locate(str(encoder)) == str(encoder)


HUB: dict[str, tuple[Exception, str]] = {
    "no network": (urllib.error.URLError("Name or service not known"), "cannot be reached"),
    "slow network": (TimeoutError("timed out"), "cannot be reached"),
    "no such model": (urllib.error.HTTPError("", 404, "Not Found", Message(), None), "answers 404 Not Found"),
}


@pytest.mark.parametrize("case", HUB)
def test_a_hub_name_that_cannot_be_had_fails_with_advice(
    case: str, ontology: Ontology, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, message = HUB[case]
    asked: list[tuple[urllib.request.Request, float]] = []
    monkeypatch.setenv("HF_TOKEN", "hf_secret")

    def urlopen(request: urllib.request.Request, timeout: float) -> None:
        asked.append((request, timeout))
        raise error

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    with pytest.raises(ModelError, match=message) as refusal:
        Tagger.create("khabar-tests/no-such-model", ontology, HEADS)
    for advice in ("model.encoder=PATH", "model=compact"):
        assert advice in str(refusal.value)
    ((request, timeout),) = asked  # once, and not for long
    assert request.full_url.endswith("/khabar-tests/no-such-model/resolve/main/config.json")
    assert request.get_header("Authorization") == "Bearer hf_secret"  # for what is private or gated
    assert timeout <= 10


def test_a_hub_name_that_can_be_had_is_left_to_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(b"{}"))
    assert locate("khabar-tests/some-model") == "khabar-tests/some-model"


@pytest.mark.parametrize("path", ["/no/such/folder", "./model", "~/model", "runs/nowhere/model"])
def test_a_path_that_is_not_there_is_not_asked_of_the_hub(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", pytest.fail)
    with pytest.raises(ModelError, match="no such folder"):
        locate(path)


@pytest.mark.parametrize("frozen", [3, -1])
def test_layers_that_the_encoder_does_not_have_cannot_be_frozen(frozen: int, encoder: Path, ontology: Ontology) -> None:
    with pytest.raises(ModelError, match=f"cannot freeze {frozen} of 2 layers"):
        Tagger.create(str(encoder), ontology, HEADS, frozen=frozen)


def test_masking_needs_a_mask_token(make_tagger: MakeTagger, one_segment_encoder: Path) -> None:
    assert make_tagger(masked=0.1).model.mask_share == 0.1
    with pytest.raises(ModelError, match="needs a mask token"):
        make_tagger(encoder=one_segment_encoder, masked=0.1)


def test_hidden_dropout_is_the_encoders_own_unless_told_otherwise(make_tagger: MakeTagger) -> None:
    own = make_tagger().model
    assert own.dropout.p == own.encoder.config.hidden_dropout_prob > 0  # type: ignore[union-attr, operator]
    none = make_tagger(dropout=0.0).model
    assert {module.p for module in none.modules() if isinstance(module, torch.nn.Dropout)} == {0.0}


def test_training_may_go_on_from_a_folders_heads(tagger: Tagger, ontology: Ontology, tmp_path: Path) -> None:
    tagger.save(tmp_path / "model")
    fresh = Tagger.create(str(tmp_path / "model"), ontology, HEADS)
    kept = Tagger.create(str(tmp_path / "model"), ontology, HEADS[:2], keep_heads=True)
    for name, tensor in kept.model.heads.state_dict().items():
        assert torch.equal(tensor, tagger.model.heads.state_dict()[name])
        assert torch.equal(tensor, fresh.model.heads.state_dict()[name]) is (name.endswith("bias") and not tensor.any())


def test_heads_are_kept_for_the_same_labels_in_the_same_order_only(
    tagger: Tagger, encoder: Path, ontology: Ontology, tmp_path: Path
) -> None:
    tagger.save(tmp_path / "model")
    turned = Ontology("مقلوبة", dict(reversed(list(ontology.entities.items()))), ontology.events)
    with pytest.raises(ModelError, match="cannot keep heads of ontology 'أخبار' for 'مقلوبة'"):
        Tagger.create(str(tmp_path / "model"), turned, HEADS, keep_heads=True)
    with pytest.raises(ModelError, match="not a folder that khabar saved"):
        Tagger.create(str(encoder), ontology, HEADS, keep_heads=True)
    Tagger.create(str(tmp_path / "model"), ontology, HEADS[:1]).save(tmp_path / "entities")
    with pytest.raises(ModelError, match=r"heads that it does not have: \['triggers'\]"):
        Tagger.create(str(tmp_path / "entities"), ontology, HEADS[:2], keep_heads=True)


def test_an_encoder_without_a_fast_tokenizer_is_refused(
    encoder: Path, ontology: Ontology, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        is_fast = False

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_: Slow())
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        Tagger.create(str(encoder), ontology, HEADS)


# Labelling


def test_what_was_learned_by_heart_is_found(tagger: Tagger, documents: tuple[Document, ...]) -> None:
    (found,) = tagger.tag([documents[1]])
    assert [found.surface(mention) for mention in found.entities or ()] == ["سامح شكري", "بغداد"]  # ب left outside
    assert [event.type for event in found.events or ()] == ["Meet"]
    assert all(mention.score is not None and 0 < mention.score <= 1 for mention in found.mentions())


def test_ids_order_text_and_metadata_are_kept(untrained: Tagger, documents: tuple[Document, ...]) -> None:
    meta = {"source": "رويترز", "tags": ["عاجل", {"n": 1}], "empty": None}
    articles = [Document(f"خبر {n}", document.text, meta={**meta, "n": n}) for n, document in enumerate(documents)]
    found = list(untrained.tag(iter(articles), chunk=5))
    assert [(d.id, d.text, d.meta) for d in found] == [(d.id, d.text, d.meta) for d in articles]


@pytest.mark.parametrize("run", [{"batch_tokens": 1}, {"batch_tokens": 200}, {"batch_tokens": 100_000}, {"chunk": 1}])
def test_padding_and_batches_do_not_change_labels(
    run: dict[str, Any], tagger: Tagger, documents: tuple[Document, ...]
) -> None:
    expected, found = list(tagger.tag(documents)), list(tagger.tag(documents, **run))
    assert found == expected
    for left, right in zip(found, expected, strict=True):
        scores = [[mention.score for mention in d.mentions()] for d in (left, right)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def test_the_collator_pads_to_the_longest(untrained: Tagger, documents: tuple[Document, ...]) -> None:
    reader = untrained.reader
    instances = [i for document in documents[:2] for i in reader.instances(reader.read(document))]
    batch = Collator(reader)([features(reader, instance, labels=True) for instance in instances])
    subwords, words = max(len(i.input_ids) for i in instances), max(len(i.words) for i in instances)
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        assert batch[name].shape == (len(instances), subwords)
    assert batch["positions"].shape == (len(instances), words)
    assert {head: labels.shape for head, labels in batch["labels"].items()} == dict.fromkeys(
        HEADS, (len(instances), words)
    )
    for row, instance in enumerate(instances):
        assert batch["attention_mask"][row].sum() == len(instance.input_ids)
        assert not batch["input_ids"][row, len(instance.input_ids) :].any()
        assert (batch["labels"][ENTITIES][row, len(instance.words) :] == -100).all()


def test_only_the_layers_of_the_model_are_answered(make_tagger: MakeTagger, documents: tuple[Document, ...]) -> None:
    (entities,) = make_tagger((ENTITIES,)).tag(documents[:1])
    assert (entities.entities is None, entities.events) == (False, None)
    (triggers,) = make_tagger((TRIGGERS,)).tag(documents[:1])
    assert triggers.entities is None
    assert triggers.events
    assert not any(event.arguments for event in triggers.events)


def test_gold_triggers_are_kept_and_their_arguments_found(tagger: Tagger, documents: tuple[Document, ...]) -> None:
    bare = [Document(d.id, d.text, None, tuple(Event(e.trigger) for e in d.events or ())) for d in documents]
    found = list(tagger.tag(bare, gold_triggers=True))
    assert [[e.trigger for e in d.events or ()] for d in found] == [[e.trigger for e in d.events or ()] for d in bare]
    correct = sum(
        len(set(f.arguments) & set(g.arguments))
        for d, gold in zip(found, documents, strict=True)
        for f, g in zip(d.events or (), gold.events or (), strict=True)
    )
    assert correct >= 15  # of 21


def test_a_gold_trigger_that_cannot_be_read_has_no_arguments(tagger: Tagger) -> None:
    event = Event(Mention(4, 5, "Attack"))
    (found,) = tagger.tag([Document("خبر", "قال ً أمس", None, (event,))], gold_triggers=True)
    assert found.events == (event,)


def test_gold_triggers_of_a_layer_that_is_not_annotated_stay_unannotated(tagger: Tagger) -> None:
    assert [d.events for d in tagger.tag([Document("1", "وقع هجوم أمس")], gold_triggers=True)] == [None]


def test_gold_triggers_of_unknown_type_are_named(tagger: Tagger) -> None:
    document = Document("خبر", "وقع هجوم أمس", None, (Event(Mention(4, 8, "Unheard")),))
    with pytest.raises(DataError, match=r"'خبر'.*Unheard"):
        list(tagger.tag([document], gold_triggers=True))


def test_arguments_have_roles_that_the_type_admits(untrained: Tagger, documents: tuple[Document, ...]) -> None:
    events = untrained.reader.ontology.events
    found = [event for document in untrained.tag(documents) for event in document.events or ()]
    assert any(event.arguments for event in found)
    for event in found:
        assert {argument.label for argument in event.arguments} <= set(events[event.type].roles)


def test_every_word_is_accounted_for(untrained: Tagger, documents: tuple[Document, ...]) -> None:
    report: Counter[str] = Counter()
    odd = [Document("رموز", "🔴 عاجل ً"), Document("فارغ", ""), Document("بياض", " \n ")]
    found = list(untrained.tag([*documents, *odd], report=report))
    assert report["documents"] == len(documents) + 3 == len(found)
    assert report["words"] == report["words labelled"] + report["words without a readable form"]
    assert report["words without a readable form"] == 5  # two of رموز; an emoji and two direction marks of أبها
    assert report["triggers"] == sum(len(document.events or ()) for document in found)
    assert report["words cut short"] == 0
    assert (found[-1].entities, found[-1].events) == ((), ())


def test_a_long_article_is_read_whole(make_tagger: MakeTagger, documents: tuple[Document, ...]) -> None:
    tagger = make_tagger((ENTITIES,), length=160)
    text = " ".join(" ".join(document.text for document in documents).split() * 250)[:140_000]
    assert len(text.split()) > 20_000
    report: Counter[str] = Counter()
    (found,) = tagger.tag([Document("طويل", text)], report=report)
    assert report["words labelled"] + report["words without a readable form"] == report["words"] > 20_000
    assert report["windows"] > 100
    assert found.entities
    assert found.entities[-1].end > len(text) - 1000  # labels reach its end
    assert found.text == text


def test_temperatures_change_scores_and_not_labels(make_tagger: MakeTagger, documents: tuple[Document, ...]) -> None:
    tagger = make_tagger((ENTITIES,))
    plain = next(tagger.tag(documents[:1]))
    tagger.temperatures = {ENTITIES: 0.1}
    sharp = next(tagger.tag(documents[:1]))
    instance = tagger.reader.text_pass(tagger.reader.read(documents[0]))
    cold = tagger.logits(instance)[0][ENTITIES]
    tagger.temperatures = {}
    np.testing.assert_allclose(cold, 10 * tagger.logits(instance)[0][ENTITIES], rtol=1e-4, atol=1e-5)
    assert plain.entities
    assert sharp.entities
    assert sum(m.score or 0 for m in sharp.entities) / len(sharp.entities) > sum(
        m.score or 0 for m in plain.entities
    ) / len(plain.entities)


def test_bfloat16_labels_too(tagger: Tagger, documents: tuple[Document, ...]) -> None:
    (found,) = replace(tagger, bf16=True).tag([documents[0]])
    assert [found.surface(mention) for mention in found.entities or ()] == [
        *("الجيش السوري", "تنظيم داعش", "الرقة", "يوم الأحد")
    ]


@settings(max_examples=30)
@given(st.lists(st.text(max_size=30) | st.text("ابتول ًَُ\u200f🔴.\n", max_size=40), max_size=3))
def test_any_text_is_labelled_within_its_bounds(untrained: Tagger, texts: list[str]) -> None:
    articles = [Document(str(number), text) for number, text in enumerate(texts)]
    for document in untrained.tag(articles):
        for mention in document.mentions():
            surface = document.surface(mention)
            assert surface == surface.strip() != ""
            assert mention.end <= len(document.text)
        assert jsonl.loads(jsonl.dumps(document), "memory").to_json() == document.to_json()


# Calibration


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_false_confidence(factor: float) -> None:
    rng = np.random.default_rng(7)
    logits = rng.normal(scale=2, size=(4000, 5))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(5, p=row) for row in probabilities])
    assert temperature((factor * logits).astype(np.float32), labels) == pytest.approx(factor, rel=0.1)


def test_the_temperature_of_nothing_is_one() -> None:
    assert temperature(np.zeros((0, 5), dtype=np.float32), np.zeros(0, dtype=np.int64)) == 1.0


def test_the_temperature_is_bounded_where_every_answer_is_right_or_wrong() -> None:
    assert 0.05 <= temperature(5 * np.eye(3, dtype=np.float32), np.arange(3)) < 1
    assert temperature(-5 * np.eye(3, dtype=np.float32), np.arange(3)) == pytest.approx(20.0)


def test_what_a_model_is_not_sure_of_is_left_out(make_tagger: MakeTagger, documents: tuple[Document, ...]) -> None:
    tagger = make_tagger()
    every = [m for d in tagger.tag(documents) for m in d.entities or ()]
    scores = sorted(m.score or 0.0 for m in every)
    tagger.thresholds = {ENTITIES: scores[len(scores) // 2]}
    kept = [m for d in tagger.tag(documents) for m in d.entities or ()]
    assert kept == [m for m in every if (m.score or 0.0) >= tagger.thresholds[ENTITIES]]
    assert 0 < len(kept) < len(every)


def test_the_threshold_is_where_f1_is_best(tagger: Tagger, documents: tuple[Document, ...]) -> None:
    def f1(thresholds: dict[str, float]) -> float:
        chosen = replace(tagger, thresholds=thresholds)
        return score(wrong, chosen.tag(wrong)).units["entities"].micro.f1

    # Half of the entities that the tagger is sure of are taken out of gold.
    wrong = [replace(d, entities=(d.entities or ())[::2], events=None) for d in documents]
    fitted = replace(tagger, temperatures={}, thresholds={})
    fitted.calibrate(wrong)
    assert set(fitted.thresholds) == {ENTITIES}  # a layer that was not annotated has none
    best = f1(fitted.thresholds)
    assert all(best >= f1({ENTITIES: least / 20}) - 1e-9 for least in range(20))


def test_calibration_fits_each_head_on_its_own_labels(make_tagger: MakeTagger, documents: tuple[Document, ...]) -> None:
    tagger = make_tagger()
    tagger.calibrate([documents[6]])  # entities alone
    assert set(tagger.temperatures) == set(HEADS)
    assert tagger.temperatures[TRIGGERS] == tagger.temperatures[ARGUMENTS] == 1.0
    assert tagger.temperatures[ENTITIES] != 1.0
    tagger.calibrate([Document("فارغ", "", (), ())])
    assert tagger.temperatures == {}


def test_an_encoder_whose_weights_are_not_there_is_not_trained_from_nothing(
    encoder: Path, ontology: Ontology, tmp_path: Path
) -> None:
    folder = shutil.copytree(encoder, tmp_path / "encoder")
    weights = load_file(folder / "model.safetensors")
    save_file({f"elsewhere.{name}": tensor for name, tensor in weights.items()}, folder / "model.safetensors")
    with pytest.raises(ModelError, match=rf"{len(weights)} weights of the encoder are not there, such as "):
        Tagger.create(str(folder), ontology, HEADS)
