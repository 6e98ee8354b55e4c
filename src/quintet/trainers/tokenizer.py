"""Small tokenizers of our own, saved so that `AutoTokenizer.from_pretrained` loads them without any code of ours.

Both work on bytes, so any text survives the way in and out. "bytes" knows nothing else: one token a byte,
which for plain text is one a character. "bpe" learns merges from the corpus.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

PAD, END, SYSTEM, USER, ASSISTANT = "<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"
SPECIAL_TOKENS = (PAD, END, SYSTEM, USER, ASSISTANT)

# One token a turn, because a byte-level model of a few hundred positions has none to spare. Tool results and other
# roles read as the user's. Content may be a string or OpenAI's list of parts. The `generation` block tells trainers
# which tokens are the model's own, and holds the end token so that the model learns to stop.
CHAT_TEMPLATE = """\
{%- macro text(content) -%}
{%- if content is string -%}{{ content }}
{%- else -%}{%- for part in content or [] -%}{{ part.text or '' }}{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{{- '<|assistant|>' -}}{%- generation -%}{{- text(message.content) + '<|end|>' -}}{%- endgeneration -%}
{%- elif message.role in ('system', 'developer') -%}
{{- '<|system|>' + text(message.content) -}}
{%- else -%}
{{- '<|user|>' + text(message.content) -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}
"""


def build(kind: str, *, texts: Iterable[str] = (), vocab_size: int = 0, max_length: int = 256) -> Any:
    """A `PreTrainedTokenizerFast` of `kind` "bytes" or "bpe"; only the latter reads `texts` and `vocab_size`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    if kind == "bytes":
        vocab = {token: i for i, token in enumerate((*SPECIAL_TOKENS, *alphabet))}
        core = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    else:
        core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind != "bytes")
    core.decoder = decoders.ByteLevel()
    if kind != "bytes":
        learner = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=alphabet,
            show_progress=False,
        )
        core.train_from_iterator(texts, learner)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[SYSTEM, USER, ASSISTANT],
        model_max_length=max_length,
        # Undoing "spaces before punctuation" would change what a model really wrote.
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


PLAIN_CHAT_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|' + message.role + '|>\\n' + message.content -}}
{%- if message.role == 'assistant' -%}{{- eos_token -}}{%- endif -%}
{{- '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}
"""
"""For a model that has no template of its own: its vocabulary is kept, so the markers are ordinary text."""
