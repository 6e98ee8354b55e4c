"""Ids and their spellings."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quintet.domain.ids import (
    Id,
    Kind,
    from_hex32,
    from_prefixed,
    from_uuid,
    new_id,
    parse_id,
    to_hex32,
    to_prefixed,
    to_uuid,
)

ids = st.integers(0, 2**96 - 1).map(lambda n: Id(f"{n:024x}"))
kinds = st.sampled_from(list(Kind))


def test_ids_grow_within_a_process() -> None:
    made = [new_id() for _ in range(5_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_of_many_threads_never_collide() -> None:
    made: list[Id] = []
    threads = [threading.Thread(target=lambda: made.extend(new_id() for _ in range(2_000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8_000


@given(ids, kinds)
def test_every_spelling_gives_the_same_id_back(ident: Id, kind: Kind) -> None:
    assert parse_id(ident.upper()) == ident
    assert from_hex32(to_hex32(ident, kind), kind) == ident
    assert from_uuid(to_uuid(ident, kind), kind) == ident
    assert from_uuid(to_uuid(ident, kind).upper(), kind) == ident
    assert from_prefixed(to_prefixed(ident, "resp_"), "resp_") == ident


@given(ids, kinds, kinds)
def test_an_id_of_another_kind_is_refused(ident: Id, kind: Kind, other: Kind) -> None:
    if kind is not other:
        assert from_hex32(to_hex32(ident, kind), other) is None


@given(ids, kinds, st.integers(0, 31), st.sampled_from("0123456789abcdef"))
def test_a_changed_digit_is_refused(ident: Id, kind: Kind, place: int, digit: str) -> None:
    good = to_hex32(ident, kind)
    bad = good[:place] + digit + good[place + 1 :]
    assert (from_hex32(bad, kind) is None) == (bad != good)


@pytest.mark.parametrize("text", ["", "x" * 24, "12", "0" * 25, "é" * 24, "0x" + "0" * 22])
def test_what_is_no_id_is_refused(text: str) -> None:
    assert parse_id(text) is None
    assert from_hex32(text, Kind.RUN) is None
    assert from_uuid(text, Kind.RUN) is None


def test_kinds_keep_their_numbers() -> None:
    # They are part of ids that clients have stored: a changed number would make those ids unknown.
    assert (Kind.SPACE, Kind.PROJECT, Kind.RUN, Kind.DATASET, Kind.MODEL, Kind.INTERACTION) == (1, 6, 7, 10, 11, 16)
