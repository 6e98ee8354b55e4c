"""Text out of tokens that are single bytes: characters appear whole, nothing is lost, nothing waits for ever."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from quintet.engines.transformers.decoding import MAX_PENDING, IncrementalText


class ByteTokenizer:
    """A token is a byte; 256 and above are special."""

    def decode(self, ids: list[int], **_: Any) -> str:
        return bytes(i for i in ids if i < 256).decode(errors="replace")


class WordTokenizer:
    """Writes the first word of a text without its space, as sentence-piece tokenizers do."""

    def decode(self, ids: list[int], **_: Any) -> str:
        return "".join(f" w{i}" for i in ids).removeprefix(" ")


@given(prompt=st.text(max_size=5), text=st.text(max_size=20))
def test_any_text_comes_out_as_it_is_and_only_in_whole_characters(prompt: str, text: str) -> None:
    decoder = IncrementalText(ByteTokenizer(), list(prompt.encode()))
    pieces = [decoder.push(byte) for byte in text.encode()]
    assert "".join(pieces) == text
    assert all("\ufffd" not in piece or "\ufffd" in text for piece in pieces)
    assert decoder.flush() == ""


@given(noise=st.lists(st.integers(0, 300), max_size=60))
def test_broken_bytes_are_shown_in_the_end_and_hold_up_nothing(noise: list[int]) -> None:
    decoder = IncrementalText(ByteTokenizer(), [])
    shown = ""
    for i, token in enumerate(noise):
        shown += decoder.push(token)
        # What waits is never more than a few tokens.
        plain = sum(32 < t < 127 for t in noise[: max(0, i + 1 - MAX_PENDING)])
        assert sum(32 < ord(c) < 127 for c in shown) >= plain
    shown += decoder.flush()
    readable = [chr(t) for t in noise if 32 < t < 127]
    assert [c for c in shown if 32 < ord(c) < 127] == readable


def test_an_unfinished_character_at_the_end_is_flushed() -> None:
    decoder = IncrementalText(ByteTokenizer(), [])
    assert [decoder.push(b) for b in "a日".encode()[:3]] == ["a", "", ""]
    assert decoder.flush() == "\ufffd"


def test_words_keep_their_spaces_after_a_prompt() -> None:
    decoder = IncrementalText(WordTokenizer(), [1, 2])
    assert [decoder.push(i) for i in (3, 4)] == [" w3", " w4"]
