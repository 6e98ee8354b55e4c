"""Stop strings over pieces that are cut anywhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quintet.engines.text import StopScanner, content_text

TEXT = st.text(alphabet="ab\n", max_size=30)


@given(pieces=st.lists(TEXT, max_size=8), stops=st.lists(TEXT, max_size=3))
def test_the_cut_is_where_the_first_stop_string_ends_up_whatever_the_pieces(
    pieces: list[str], stops: list[str]
) -> None:
    whole = "".join(pieces)
    scanner = StopScanner(stops)
    shown = ""
    for piece in pieces:
        shown += scanner.feed(piece)
    shown += scanner.flush()
    for at in range(len(whole) + 1):
        # The first moment at which some stop string is complete decides, as a reader of the stream would see it.
        found = [whole[:at].find(s) for s in stops if s and s in whole[:at]]
        if found:
            assert scanner.stopped
            assert shown == whole[: len(shown)]
            assert not any(s in shown for s in stops if s)
            assert len(shown) <= min(found)
            return
    assert shown == whole
    assert not scanner.stopped


def test_nothing_that_may_become_a_stop_string_is_shown_early() -> None:
    scanner = StopScanner(["</end>"])
    assert [scanner.feed(p) for p in ("a<", "/en", "x</e", "nd>y", "z")] == ["a", "", "</enx", "", ""]
    assert scanner.stopped
    assert scanner.flush() == ""


def test_content_is_text_parts_or_a_string() -> None:
    assert content_text("a") == "a"
    assert content_text([{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]) == "ab"
    assert content_text(None) == ""
