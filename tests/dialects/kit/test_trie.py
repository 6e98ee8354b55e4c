"""The router: choices, dead ends, decoding; and, by property, that it agrees with a plain search."""

from __future__ import annotations

import re
import timeit
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quintet.dialects.kit.trie import Match, MethodNotAllowed, Trie


def test_a_literal_wins_over_a_parameter() -> None:
    trie = Trie([("GET", "/models/{name}", "one"), ("GET", "/models/names", "names")])
    assert trie.match("GET", "/models/names") == Match("names", {})
    assert trie.match("GET", "/models/other") == Match("one", {"name": "other"})


def test_a_dead_end_goes_back_to_the_parameter() -> None:
    trie = Trie([("GET", "/a/literal/x", "first"), ("GET", "/a/{name}/y", "second")])
    assert trie.match("GET", "/a/literal/y") == Match("second", {"name": "literal"})


def test_a_method_that_the_literal_lacks_is_looked_for_behind_the_parameter() -> None:
    trie = Trie([("GET", "/a/literal", "get"), ("POST", "/a/{name}", "post")])
    assert trie.match("POST", "/a/literal") == Match("post", {"name": "literal"})
    assert trie.match("PUT", "/a/literal") == MethodNotAllowed(("GET", "POST"))
    assert trie.match("PUT", "/a") is None


def test_greedy_parameters_take_slashes_and_leave_room_for_what_follows() -> None:
    trie = Trie([("GET", "/files/{commit}/{path:path}/content", "read"), ("GET", "/raw/{path:path}", "raw")])
    assert trie.match("GET", "/files/c1/a/b/content") == Match("read", {"commit": "c1", "path": "a/b"})
    assert trie.match("GET", "/files/c1/content/content") == Match("read", {"commit": "c1", "path": "content"})
    assert trie.match("GET", "/files/c1/content") is None
    assert trie.match("GET", "/raw/a//b") == Match("raw", {"path": "a//b"})
    assert trie.match("GET", "/raw") is None


def test_a_route_behind_a_greedy_parameter_wins_over_its_end() -> None:
    trie = Trie([("GET", "/m/{id:path}", "one"), ("GET", "/m/{id:path}/versions", "versions")])
    assert trie.match("GET", "/m/org/name/versions") == Match("versions", {"id": "org/name"})
    assert trie.match("GET", "/m/versions") == Match("one", {"id": "versions"})


def test_segments_are_decoded_after_the_split() -> None:
    trie = Trie([("GET", "/models/{name}/tags", "tags"), ("GET", "/raw/{path:path}", "raw")])
    assert trie.match("GET", "/models/a%2Fb%20c/tags") == Match("tags", {"name": "a/b c"})
    assert trie.match("GET", "/m%6Fdels/a+b/tags") == Match("tags", {"name": "a+b"})
    assert trie.match("GET", "/raw/a%2Fb/c") == Match("raw", {"path": "a/b/c"})


def test_one_slash_at_the_end_is_ignored_and_an_empty_segment_is_no_value() -> None:
    trie = Trie([("GET", "/models", "list"), ("GET", "/models/{name}/x", "x"), ("GET", "/", "root")])
    assert trie.match("GET", "/models/") == Match("list", {})
    assert trie.match("GET", "/models//x") is None
    assert trie.match("GET", "/") == Match("root", {})


def test_head_is_answered_by_get_where_it_has_no_route_of_its_own() -> None:
    trie = Trie([("GET", "/a/{x}", "get"), ("HEAD", "/b", "head"), ("GET", "/b", "get")])
    assert trie.match("HEAD", "/a/1") == Match("get", {"x": "1"})
    assert trie.match("HEAD", "/b") == Match("head", {})


def test_names_of_parameters_belong_to_the_route() -> None:
    trie = Trie([("GET", "/a/{one}", 1), ("PUT", "/a/{two}", 2), ("GET", "/a/{three}/b", 3)])
    assert trie.match("PUT", "/a/v") == Match(2, {"two": "v"})
    assert trie.match("GET", "/a/v/b") == Match(3, {"three": "v"})


@pytest.mark.parametrize("pattern", ["/a/{x}.json", "/a//b", "/{x}/{x}", "/a/{x:int}", "/a/{}"])
def test_patterns_that_cannot_be_meant_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=re.escape(pattern)):
        Trie([("GET", pattern, None)])


def test_two_routes_of_the_same_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="another route"):
        Trie([("GET", "/a/{x}", 1), ("GET", "/a/{y}", 2)])


SEGMENTS = st.sampled_from(["a", "b", "c", "{p}", "{q:path}"])
PATTERNS = st.lists(st.lists(SEGMENTS, min_size=1, max_size=4), min_size=1, max_size=8)
PATHS = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=5)


def rank(pattern: tuple[str, ...], path: list[str]) -> list[tuple[int, ...]]:
    """Every way in which a pattern fits, as a sort key of the choice at each of its segments: best is least."""
    ways: list[tuple[int, ...]] = []
    greedy = [i for i, segment in enumerate(pattern) if segment == "{q}"]
    spare = len(path) - len(pattern)
    if spare < 0 or (spare and not greedy):
        return []
    for lengths in product(range(1, spare + 2), repeat=len(greedy)):
        if sum(lengths) != spare + len(greedy):
            continue
        at, key, fits, taken = 0, [], True, iter(lengths)
        for position, segment in enumerate(pattern):
            if segment == "{q}":
                length = next(taken)
                at += length
                key += [2, 1 if position == len(pattern) - 1 and at == len(path) else 0, -length]
                continue
            fits = fits and (segment == "{p}" or segment == path[at])
            key += [1 if segment == "{p}" else 0, 0, 0]
            at += 1
        if fits:
            ways.append(tuple(key))
    return ways


@settings(max_examples=300, deadline=None)
@given(PATTERNS, PATHS)
def test_the_best_of_all_routes_that_fit_is_found(patterns: list[list[str]], path: list[str]) -> None:
    shapes = {tuple("{q}" if s == "{q:path}" else s for s in pattern) for pattern in patterns}
    trie: Trie[tuple[str, ...]] = Trie()
    for shape in shapes:
        named = (s if s[0] != "{" else f"{{x{i}:path}}" if s == "{q}" else f"{{x{i}}}" for i, s in enumerate(shape))
        trie.add("GET", "/" + "/".join(named), shape)
    fitting = [(min(ways), shape) for shape in shapes if (ways := rank(shape, path))]
    found = trie.match("GET", "/" + "/".join(path))
    if not fitting:
        assert found is None
        return
    assert isinstance(found, Match)
    assert found.handler == min(fitting)[1]
    rebuilt = [found.params.get(f"x{i}", segment) for i, segment in enumerate(found.handler)]
    assert "/".join(rebuilt) == "/".join(path)


@settings(max_examples=200)
@given(st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()))
def test_any_value_survives_encoding(value: str) -> None:
    from urllib.parse import quote

    trie = Trie([("GET", "/a/{x}/b", None)])
    assert trie.match("GET", f"/a/{quote(value, safe='')}/b") == Match(None, {"x": value})


def test_a_match_does_not_grow_with_the_number_of_routes() -> None:
    def microseconds(services: int) -> float:
        trie = Trie([("GET", f"/api/s{i}/v1/things/{{id}}", i) for i in range(services)])
        path = f"/api/s{services - 1}/v1/things/42"
        return min(timeit.repeat(lambda: trie.match("GET", path), number=500, repeat=5)) / 500 * 1e6

    # 2 µs on the machine this was written on; a list of 350 patterns would take some 40 times that.
    assert microseconds(350) < 5 * microseconds(5)
