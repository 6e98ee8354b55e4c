"""Tiny random models on disk: enough to prove what an engine does with a model, and loaded in a moment."""

from __future__ import annotations

from pathlib import Path

# Byte level: any text goes in, and a random model soon writes broken characters, which is the hard case.
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|go|>{% endif %}"
)


def save_model(folder: Path, *, seed: int = 0, template: str | None = TEMPLATE, context: int = 256,
               kind: str = "llama") -> Path:  # fmt: skip
    """A random causal model of two layers with a byte tokenizer."""
    import torch
    from transformers import (
        GPT2Config,
        GPT2LMHeadModel,
        LlamaConfig,
        LlamaForCausalLM,
        MistralConfig,
        MistralForCausalLM,
    )

    torch.manual_seed(seed)
    size = save_tokenizer(folder, template, context)
    if kind == "gpt2":
        config = GPT2Config(vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=context,
                            bos_token_id=0, eos_token_id=1)  # fmt: skip
        model = GPT2LMHeadModel(config)
    else:
        shape = {"vocab_size": size, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                 "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": context,
                 "bos_token_id": 0, "eos_token_id": 1, "initializer_range": 0.3}  # fmt: skip
        if kind == "llama":
            model = LlamaForCausalLM(LlamaConfig(**shape))
        else:
            model = MistralForCausalLM(MistralConfig(**shape, sliding_window=8))
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def save_tokenizer(folder: Path, template: str | None, context: int) -> int:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "</s>", "<pad>", "<|go|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate([*special, *alphabet])}
    core = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=["<|go|>"],
        model_max_length=context,
    )
    if template is not None:
        tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return len(vocab)


def save_adapter(folder: Path, base: Path, *, seed: int = 1) -> Path:
    """A LoRA adapter with random weights on `base`, strong enough to change every reply."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=32, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    model.save_pretrained(folder)
    return folder
