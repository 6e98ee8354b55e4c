"""One base model in memory: its tokenizer, its limits, and the adapters beside it.

Only files from a local folder, only safetensors, never code that comes with a model: whoever can place a model
must not be able to run something by it.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from quintet.domain.errors import Invalid, NotFound, Precondition, Unsupported
from quintet.engines.text import content_text
from quintet.engines.transformers.protocol import Weights

# Texts of one embedding step. More gains nothing on a CPU and would keep running replies waiting.
EMBED_ROWS = 16

# Tokenizers write "no limit" as a number near 1e30; no context is longer than this.
_SANE_LENGTH = 10_000_000


class Backbone:
    """A loaded model. Lives in the model process and in one thread only."""

    def __init__(self, weights: Weights, *, dtype: str) -> None:
        folder = _checked_folder(weights.path, "model.safetensors*")
        self.key = weights.key
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        self.generates = any(
            name.endswith(("ForCausalLM", "LMHeadModel")) for name in (config.architectures or ["ForCausalLM"])
        )
        loader: Any = AutoModelForCausalLM if self.generates else AutoModel
        self.model: Any = loader.from_pretrained(
            folder,
            config=config,
            dtype=_dtype(dtype, self.device),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
        self.model.to(self.device).eval()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        self.context = _context(config, self.tokenizer)
        self.eos = _eos_ids(self.model, self.tokenizer)
        self.takes_positions = "position_ids" in inspect.signature(self.model.forward).parameters
        self.takes_logits_to_keep = "logits_to_keep" in inspect.signature(self.model.forward).parameters
        # Rows can share a batch where every layer keeps plain keys and values; recurrent layers would carry
        # the padding of their neighbours along.
        self.mergeable = self.generates and all(
            type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in DynamicCache(config=config).layers
        )
        self._peft: Any = None
        self._adapters: dict[str, str] = {}
        self._active = ""

    def load_adapter(self, weights: Weights) -> None:
        """Puts the adapter beside the weights; once is enough."""
        if weights.adapter_key in self._adapters:
            return
        folder = _checked_folder(weights.adapter_path, "adapter_model.safetensors")
        _check_adapter_kind(folder)
        from peft import PeftModel

        # Names of adapters become names of modules, where dots and slashes mean something.
        name = "a" + sha256(weights.adapter_key.encode()).hexdigest()[:16]
        if self._peft is None:
            self._peft = PeftModel.from_pretrained(self.model, str(folder), adapter_name=name, is_trainable=False)
        else:
            self._peft.load_adapter(str(folder), adapter_name=name, is_trainable=False)
        self._peft.eval()
        self._adapters[weights.adapter_key] = name
        self._active = "?"

    def unload_adapter(self, adapter_key: str) -> None:
        """Frees the adapter's memory; no error where it is not loaded."""
        name = self._adapters.pop(adapter_key, None)
        if name is None:
            return
        if self._adapters:
            self._peft.delete_adapter(name)
        else:
            self.model = self._peft.unload()
            self._peft = None
        self._active = "?" if self._peft is not None else ""

    def use(self, adapter_key: str) -> None:
        """Makes the next forward pass run with this adapter, or with none for the empty key."""
        if self._active == adapter_key:
            return
        if self._peft is None:
            if adapter_key:
                raise Precondition("the adapter is not loaded")
        elif not adapter_key:
            self._peft.base_model.disable_adapter_layers()
        else:
            self._peft.base_model.enable_adapter_layers()
            self._peft.set_adapter(self._adapters[adapter_key])
        self._active = adapter_key

    def prompt_ids(self, messages: Sequence[dict[str, Any]], tools: Sequence[Any] | None) -> list[int]:
        """The tokens of a conversation, ready for the reply. Invalid (field `messages`) if they do not fit."""
        if not self.generates:
            raise Unsupported("this model makes embeddings and cannot write")
        if self.tokenizer.chat_template:
            ids = self._encode(self._render(messages, tools), special=False)
        else:
            # A base model without roles: what was said, as it was said.
            ids = self._encode("\n".join(content_text(m.get("content")) for m in messages), special=True)
            # Some tokenizers close every text; a reply must continue it.
            while ids and ids[-1] in self.eos:
                ids.pop()
        if not ids:
            start = (
                self.tokenizer.bos_token_id if self.tokenizer.bos_token_id is not None else min(self.eos, default=None)
            )
            if start is None:
                raise Invalid("the messages contain no text", field="messages")
            ids = [start]
        if len(ids) >= self.context:
            raise Invalid(
                f"the messages are {len(ids)} tokens long; this model takes less than {self.context}",
                field="messages",
            )
        return ids

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector of length 1 a text: the mean of the last hidden states."""
        rows = [self._encode(text, special=True) or [self._pad] for text in texts]
        longest = max(len(row) for row in rows)
        if longest > self.context:
            raise Invalid(f"a text is {longest} tokens long; this model takes {self.context}", field="input")
        # Padding on the right here, so that absolute positions start at 0 in every row.
        ids = torch.tensor([row + [self._pad] * (longest - len(row)) for row in rows], device=self.device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=self.device)
        inner = self.model.base_model if self.generates else self.model
        with torch.inference_mode():
            hidden = inner(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            weight = mask.unsqueeze(-1).float()
            mean = (hidden * weight).sum(dim=1) / weight.sum(dim=1)
        vectors: list[list[float]] = torch.nn.functional.normalize(mean, dim=-1).tolist()
        return vectors

    @property
    def _pad(self) -> int:
        return int(self.tokenizer.pad_token_id or 0)

    def _encode(self, text: str, *, special: bool) -> list[int]:
        ids = self.tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
        return [int(i) for i in ids]

    def _render(self, messages: Sequence[dict[str, Any]], tools: Sequence[Any] | None) -> str:
        plain = [{**m, "content": content_text(m.get("content"))} for m in messages]
        from jinja2 import TemplateError

        try:
            text = self.tokenizer.apply_chat_template(
                plain, tools=list(tools) if tools else None, tokenize=False, add_generation_prompt=True
            )
        except TemplateError as exc:
            # Templates refuse conversations they were not made for, such as two user messages in a row.
            raise Invalid(f"the model's chat template refuses these messages: {exc}", field="messages") from exc
        return str(text)


def _checked_folder(path: str, weights_pattern: str) -> Path:
    folder = Path(path)
    if not path or not folder.is_dir():
        raise NotFound("the folder of the model is not there")
    if not any(folder.glob(weights_pattern)) and not any(folder.glob("*.safetensors")):
        raise Unsupported("the folder has no safetensors weights; other formats can run code and are not read")
    return folder


def _check_adapter_kind(folder: Path) -> None:
    try:
        kind = json.loads((folder / "adapter_config.json").read_text()).get("peft_type")
    except (OSError, ValueError, AttributeError):
        raise Unsupported("the folder has no readable adapter_config.json") from None
    # Kinds that change weights run inside the base model; prompt learning would change its inputs.
    if kind not in ("LORA", "LOHA", "LOKR", "IA3", "OFT"):
        raise Unsupported(f"adapters of kind {kind} cannot be served beside a base model")


def _dtype(name: str, device: torch.device) -> Any:
    if name != "default":
        return name if name == "auto" else getattr(torch, name)
    # CPUs emulate half precision, and the same reply in any company needs the room of float32.
    return torch.float32 if device.type == "cpu" else "auto"


def _context(config: Any, tokenizer: Any) -> int:
    text_config = config.get_text_config()
    names = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")
    limits = [getattr(text_config, name, None) for name in names]
    limits.append(tokenizer.model_max_length)
    known = [int(limit) for limit in limits if isinstance(limit, int) and 0 < limit < _SANE_LENGTH]
    return min(known, default=sys.maxsize)


def _eos_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    found: set[int] = set()
    generation = getattr(model, "generation_config", None)
    for value in (
        getattr(generation, "eos_token_id", None),
        getattr(model.config, "eos_token_id", None),
        tokenizer.eos_token_id,
    ):
        if isinstance(value, int):
            found.add(value)
        elif isinstance(value, list | tuple):
            found.update(int(v) for v in value)
    return frozenset(found)
