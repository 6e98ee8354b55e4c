"""From token ids to text as it grows.

A token can be a part of a character, and some tokenizers write a word differently at the start of a text. So
each new piece is the difference between two decodings that start a few tokens earlier, and a piece that ends
in an unfinished character waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Tokens of the prompt that the first piece is decoded after; more only costs time.
CONTEXT_TOKENS = 5

# A character of UTF-8 has at most four bytes, so what is unfinished for longer than this is broken for good.
MAX_PENDING = 8

_UNFINISHED = "\ufffd"


class IncrementalText:
    """The text of one reply. Special tokens do not show."""

    def __init__(self, tokenizer: Any, prompt_ids: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = list(prompt_ids[-CONTEXT_TOKENS:])
        self._prefix = 0
        self._read = len(self._ids)

    def push(self, token: int) -> str:
        """The text that this token completes, often all of its own, sometimes none."""
        self._ids.append(token)
        before, after = self._decode(self._read), self._decode(len(self._ids))
        if len(after) <= len(before):
            return ""
        if after.endswith(_UNFINISHED) and len(self._ids) - self._read < MAX_PENDING:
            return ""
        self._prefix, self._read = self._read, len(self._ids)
        return after[len(before) :]

    def flush(self) -> str:
        """What still waits at the end of the reply, an unfinished character included."""
        before, after = self._decode(self._read), self._decode(len(self._ids))
        self._prefix = self._read = len(self._ids)
        return after[len(before) :]

    def _decode(self, end: int) -> str:
        text = self._tokenizer.decode(
            self._ids[self._prefix : end], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text)
