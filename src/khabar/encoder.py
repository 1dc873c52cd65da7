"""Pretrained encoders: the embedded one, a folder, or a name on the model hub."""

from __future__ import annotations

import inspect
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants, get_token
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import MODEL_MAPPING, AutoConfig, AutoModel, AutoTokenizer

from khabar.contract import COMPACT, CONTRACT, WEIGHTS, ModelError

__all__ = ["bf16_is_native", "blank", "locate", "pick_device", "pretrained"]

_ADVICE = "Give the path of a local copy (model.encoder=PATH), or use model=compact, which needs no network."


def pretrained(
    encoder: str, attention_dropout: float, dropout: float | None = None, frozen: int = 0
) -> tuple[Any, Any]:
    """Tokenizer and network, in float32 and without pooler; embeddings and ``frozen`` lower layers are not trained.

    Of a model folder that khabar saved, it is the encoder without the heads: training goes on from it.

    Raises `ModelError` where the encoder cannot be had (`locate`) or has no fast tokenizer.
    """
    folder = locate(encoder)
    config = AutoConfig.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if not tokenizer.is_fast:
        raise ModelError(f"{encoder}: the tokenizer is not a fast one; khabar needs tokenizer.json")
    if hasattr(config, "attention_probs_dropout_prob"):
        config.attention_probs_dropout_prob = attention_dropout
    if dropout is not None and hasattr(config, "hidden_dropout_prob"):
        config.hidden_dropout_prob = dropout
    if (Path(folder) / CONTRACT).is_file():  # a model folder of khabar: its encoder, without its heads
        network = blank(config)
        try:
            weights, prefix = load_file(Path(folder) / WEIGHTS), "encoder."
            network.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
        except (OSError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"{encoder}: {WEIGHTS} does not fit its config: {error}") from error
    else:
        network, found = AutoModel.from_pretrained(
            folder, config=config, dtype=torch.float32, output_loading_info=True, **_without_pooler(config)
        )
        if missing := sorted(found["missing_keys"]):
            raise ModelError(
                f"{encoder}: {len(missing)} weights of the encoder are not there, such as {missing[0]}. "
                "A model of khabar is taken from a folder: download it and give its path"
            )
    if frozen:
        stacks = [m for m in network.modules() if isinstance(m, nn.ModuleList) and len(m) == config.num_hidden_layers]
        if not stacks or not 0 < frozen <= config.num_hidden_layers:
            raise ModelError(f"{encoder}: cannot freeze {frozen} of {config.num_hidden_layers} layers")
        for part in (network.embeddings, *stacks[0][:frozen]):
            part.requires_grad_(False)
    return tokenizer, network


def blank(config: Any) -> Any:
    """A network of this configuration, in float32, whose weights are still to be loaded."""
    make: Any = AutoModel.from_config  # untyped in transformers
    return make(config, dtype=torch.float32, **_without_pooler(config))


def locate(encoder: str) -> str:
    """What `from_pretrained` should read: the embedded encoder, a folder, or a hub name that can be had.

    The hub is asked once, with a short time limit, so that a machine without network fails at once.
    Raises `ModelError` that says what to do instead.
    """
    if encoder == "compact":
        return str(COMPACT)
    if Path(encoder).exists():
        return encoder
    if encoder.startswith((".", "/", "~")) or encoder.count("/") > 1:
        raise ModelError(f"encoder {encoder!r}: no such folder. {_ADVICE}")
    try:
        AutoConfig.from_pretrained(encoder, local_files_only=True)
        return encoder  # in the hub's cache
    except (OSError, ValueError):
        address = f"{constants.ENDPOINT}/{encoder}/resolve/main/config.json"
    try:
        token = get_token()  # for what is private or gated
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=5).close()
    except urllib.error.HTTPError as error:
        raise ModelError(f"encoder {encoder!r}: the model hub answers {error.code} {error.reason}. {_ADVICE}") from None
    except OSError as error:
        raise ModelError(f"encoder {encoder!r}: the model hub cannot be reached ({error}). {_ADVICE}") from None
    return encoder


def pick_device(device: str) -> torch.device:
    """``auto`` is the GPU where there is one. Raises `ModelError` where the device asked for is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(f"device {device!r}: no CUDA device is available; use device=cpu")
    return torch.device(device)


def bf16_is_native(device: torch.device | None = None) -> bool:
    """Whether bfloat16 arithmetic has units of its own, here or on a device; emulated, it is slower than float32."""
    if (device or pick_device("auto")).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(bool(capabilities.get(unit)) for unit in ("avx512_bf16", "amx_bf16", "bf16"))


def _without_pooler(config: Any) -> dict[str, bool]:
    """Arguments that leave out the pooler, which nothing here reads, where the architecture has one."""
    network: Any = MODEL_MAPPING[type(config)]
    return {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(network).parameters else {}
