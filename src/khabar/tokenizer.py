"""The tokenizer of a model folder, read without `transformers`, which is slow to import and brings torch along."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers

__all__ = ["SPECIAL", "Tokenizer"]

SPECIAL = ("unk_token", "cls_token", "sep_token", "bos_token", "eos_token", "pad_token", "mask_token")


class Tokenizer:
    """As much of a fast Hugging Face tokenizer as `khabar.features.Reader` asks of one, under the same names."""

    def __init__(self, inner: tokenizers.Tokenizer, names: Mapping[str, Any]) -> None:
        inner.no_truncation()
        inner.no_padding()
        self._inner = inner
        for role in SPECIAL:
            token = names.get(role)
            content = token["content"] if isinstance(token, Mapping) else token
            setattr(self, f"{role}_id", None if content is None else inner.token_to_id(content))

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """Read ``tokenizer.json``, and names in ``tokenizer_config.json``; raises `OSError` or `ValueError`."""
        content = (folder / "tokenizer.json").read_text(encoding="utf-8")
        names = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        try:
            inner = tokenizers.Tokenizer.from_str(content)
        except Exception as error:  # the library raises nothing more special
            raise ValueError(f"tokenizer.json: {error}") from None
        return cls(inner, names)

    def __len__(self) -> int:
        return self._inner.get_vocab_size(with_added_tokens=True)

    def __call__(self, forms: Sequence[str], add_special_tokens: bool = False, **_: Any) -> dict[str, list[list[int]]]:
        """The ids of each form."""
        found = self._inner.encode_batch_fast(list(forms), add_special_tokens=add_special_tokens)
        return {"input_ids": [encoding.ids for encoding in found]}

    def get_vocab(self) -> dict[str, int]:
        """Every piece and its id."""
        return self._inner.get_vocab(with_added_tokens=True)

    def convert_tokens_to_ids(self, tokens: Sequence[str]) -> list[int | None]:
        """The id of each piece, ``None`` where there is none."""
        return [self._inner.token_to_id(token) for token in tokens]

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Special tokens around one text, or around two."""
        return self._inner.num_special_tokens_to_add(is_pair=pair)
