"""Loading a base model, with or without an adapter, in the form a trainer needs it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Lora:
    """A low-rank adapter. `target_modules` None means all linear layers but the output head."""

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    target_modules: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """What to start from: the folder of a transformers model, and that of an adapter on it if there is one."""

    base: Path
    adapter: Path | None = None


class Loaded(NamedTuple):
    """`peft_config` is set where the trainer is to put a new adapter on `model`."""

    model: Any
    tokenizer: Any
    peft_config: Any | None


def quiet() -> None:
    """No progress bars of the libraries: in a log, each redraw of a bar is text."""
    import datasets
    from transformers.utils import logging

    logging.disable_progress_bar()
    datasets.disable_progress_bars()


def load(source: Source, lora: Lora | None) -> Loaded:
    """The model to train.

    With `lora`, an adapter that is already there is trained further (with its own rank), and else a new one is
    added. Without, an adapter is merged first and all weights are trained.
    """
    import torch
    from transformers import AutoModelForCausalLM

    quiet()
    # Full precision on CPUs, where bfloat16 is emulated and slower; what the checkpoint has on accelerators.
    dtype: Any = "auto" if torch.cuda.is_available() else torch.float32
    model: Any = AutoModelForCausalLM.from_pretrained(source.base, dtype=dtype)
    tokenizer = load_tokenizer(source.base)
    if source.adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, source.adapter, is_trainable=lora is not None)
        if lora is None:
            return Loaded(model.merge_and_unload(), tokenizer, None)
        # Its own file names a base by its key here; where that is no folder, saving looks for it on the internet.
        model.peft_config["default"].base_model_name_or_path = str(source.base)
        return Loaded(model, tokenizer, None)
    return Loaded(model, tokenizer, None if lora is None else _peft_config(lora))


def load_tokenizer(base: Path) -> Any:
    """The model's tokenizer, with a padding token and a chat template in any case."""
    from transformers import AutoTokenizer

    from quintet.trainers.tokenizer import PLAIN_CHAT_TEMPLATE

    tokenizer = AutoTokenizer.from_pretrained(base)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not tokenizer.chat_template:
        # A base model that never saw a chat; the tuned one is saved with this template and so is served with it.
        tokenizer.chat_template = PLAIN_CHAT_TEMPLATE
    return tokenizer


def save(model: Any, tokenizer: Any, folder: Path, base_name: str) -> str:
    """Writes the weights and the tokenizer to `folder`; answers the format, "adapter" or "transformers".

    An adapter is told `base_name` as its base, since the folder it was trained on means nothing elsewhere.
    """
    if getattr(model, "peft_config", None) is None:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return "transformers"
    # Preference tuning keeps a frozen copy of the adapter as its reference; only the trained one is a result.
    model.save_pretrained(folder, selected_adapters=["default"])
    tokenizer.save_pretrained(folder)
    # In the file and not before: see `load`.
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base_name
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True))
    return "adapter"


def _peft_config(lora: Lora) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear" if lora.target_modules is None else list(lora.target_modules),
        task_type="CAUSAL_LM",
    )
