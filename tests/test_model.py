"""«أعلن الوزير استقالته»: the encoder reads subwords, the heads answer for the first subword of each word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModel

from khabar.features import IGNORE
from khabar.model import Model

HEADS = {"entities": 9, "triggers": 7, "clitics": 3}


@pytest.fixture
def model(encoder: Path) -> Model:
    """Three heads on the tiny encoder."""
    torch.manual_seed(3)
    return Model(AutoModel.from_pretrained(encoder, add_pooling_layer=False), HEADS).eval()


def batch(**changes: Any) -> dict[str, Any]:
    """Two inputs, of seven subwords and three words, and of five subwords and two words."""
    inputs = {
        "input_ids": torch.tensor([[2, 5, 6, 7, 8, 9, 3], [2, 10, 11, 12, 3, 0, 0]]),
        "attention_mask": torch.tensor([[1] * 7, [1] * 5 + [0] * 2]),
        "positions": torch.tensor([[1, 3, 5], [1, 3, 0]]),
    }
    return inputs | changes


def labels(**rows: list[list[int]]) -> dict[str, Tensor]:
    nothing = torch.full((2, 3), IGNORE)
    return {name: torch.tensor(rows[name]) if name in rows else nothing for name in HEADS}


def test_logits_are_of_words(model: Model) -> None:
    output = model(**batch())
    assert set(output) == {"logits"}
    assert {name: tuple(scores.shape) for name, scores in output["logits"].items()} == {
        name: (2, 3, size) for name, size in HEADS.items()
    }


def test_a_word_is_read_at_its_first_subword(model: Model) -> None:
    inputs = batch()
    hidden = model.encoder(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state
    expected = model.heads["triggers"](hidden[0, 3])
    torch.testing.assert_close(model(**inputs)["logits"]["triggers"][0, 1], expected)


def test_segments_are_read(model: Model) -> None:
    same, other = torch.zeros(2, 7, dtype=torch.long), torch.ones(2, 7, dtype=torch.long)
    plain = model(**batch())["logits"]["entities"]
    torch.testing.assert_close(model(**batch(token_type_ids=same))["logits"]["entities"], plain)
    assert not torch.allclose(model(**batch(token_type_ids=other))["logits"]["entities"], plain)


def test_loss_is_the_mean_over_labelled_words_of_each_head_summed(model: Model) -> None:
    given = labels(entities=[[1, IGNORE, 0], [IGNORE] * 3], triggers=[[IGNORE] * 3, [2, 0, IGNORE]])
    output = model(**batch(labels=given))
    logits = output["logits"]
    cross_entropy = torch.nn.functional.cross_entropy
    expected = cross_entropy(logits["entities"][0, [0, 2]], torch.tensor([1, 0])) + cross_entropy(
        logits["triggers"][1, [0, 1]], torch.tensor([2, 0])
    )
    torch.testing.assert_close(output["loss"], expected)


def test_words_without_a_label_have_no_influence(model: Model) -> None:
    given = labels(entities=[[1, 2, IGNORE], [IGNORE] * 3])
    loss = model(**batch(labels=given))["loss"]
    moved = batch(labels=given, positions=torch.tensor([[1, 3, 6], [4, 2, 1]]))
    torch.testing.assert_close(model(**moved)["loss"], loss)


def test_a_head_without_labels_adds_nothing_and_its_gradient_is_zero(model: Model) -> None:
    model(**batch(labels=labels(entities=[[1, 2, 0], [3, 4, IGNORE]])))["loss"].backward()
    gradients = {name: parameter.grad for name, parameter in model.heads.named_parameters()}
    moved = {name for name, gradient in gradients.items() if gradient is not None and bool(gradient.any())}
    assert moved == {"entities.weight", "entities.bias"}
    assert None not in gradients.values()


def test_a_batch_without_any_label_has_loss_zero_and_finite_gradients(model: Model) -> None:
    loss = model(**batch(labels=labels()))["loss"]
    loss.backward()
    assert loss.item() == 0.0
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_masking_hides_its_share_of_subwords_in_training_only(encoder: Path) -> None:
    torch.manual_seed(4)
    model = Model(AutoModel.from_pretrained(encoder, add_pooling_layer=False), HEADS, mask=(4, 0.2))
    seen: list[Tensor] = []
    model.encoder.register_forward_pre_hook(lambda _, __, inputs: seen.append(inputs["input_ids"]), with_kwargs=True)
    ids = torch.full((100, 101), 7)
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "positions": torch.ones(100, 1, dtype=torch.long),
    }
    model.train()(**inputs)
    model.eval()(**inputs)
    assert (seen[0][:, 0] == 7).all()  # the token that opens the input stays
    assert set(seen[0].flatten().tolist()) == {4, 7}
    assert (seen[0][:, 1:] == 4).float().mean().item() == pytest.approx(0.2, abs=0.02)
    assert torch.equal(seen[1], ids)


def test_dropout_is_for_training_only(model: Model) -> None:
    first, again = (model(**batch())["logits"]["entities"] for _ in range(2))
    assert torch.equal(first, again)
    model.train()
    model.encoder.eval()
    assert not torch.equal(model(**batch())["logits"]["entities"], first)
