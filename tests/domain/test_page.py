"""Cursors and page requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quintet.domain.errors import Invalid
from quintet.domain.page import PageRequest, decode_cursor, encode_cursor

values = st.one_of(st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.none())


@given(st.lists(values, min_size=1, max_size=4))
def test_a_cursor_gives_its_values_back(given_values: list[str | int | float | None]) -> None:
    assert decode_cursor(encode_cursor(*given_values), len(given_values)) == given_values


@pytest.mark.parametrize("cursor", ["", "x", "!!", "bnVsbA", "W10", "e30", "W1tdXQ", "é"])
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode_cursor(cursor, 1)
    assert caught.value.field == "cursor"


@pytest.mark.parametrize(("field", "bad"), [("limit", {"limit": 0}), ("limit", {"limit": 1001}), ("offset", {"offset": -1})])
def test_a_page_has_bounds(field: str, bad: dict[str, int]) -> None:
    with pytest.raises(Invalid) as caught:
        PageRequest(**bad)
    assert caught.value.field == field
