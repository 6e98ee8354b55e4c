"""A router over path segments: as fast with 350 routes as with 5.

A list of patterns tried in turn costs more with each route, and five dialects have hundreds. Here a path is
split once and walked down a tree: a literal segment wins over a parameter, a parameter over a greedy one, and a
dead end goes back to the last choice.

Patterns: `/a/{name}/b` takes one segment for `name`; `/files/{path:path}/content` takes one or more, as many as
leave room for what follows. Segments are percent-decoded after the split, so `%2F` stays inside its segment.
One slash at the end of a path is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import unquote

H = TypeVar("H")


class Match(NamedTuple, Generic[H]):
    """A handler with the decoded values of its parameters."""

    handler: H
    params: dict[str, str]


class MethodNotAllowed(NamedTuple):
    """The path is known, the method is not; `allowed` is sorted."""

    allowed: tuple[str, ...]


class _Leaf(NamedTuple, Generic[H]):
    names: tuple[str, ...]
    handler: H


class _Node(Generic[H]):
    __slots__ = ("greedy", "leaves", "literals", "parameter")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[H]] = {}
        self.parameter: _Node[H] | None = None
        self.greedy: _Node[H] | None = None
        self.leaves: dict[str, _Leaf[H]] = {}


class Trie(Generic[H]):
    """Routes by method and pattern. Two routes with the same method and shape are refused."""

    def __init__(self, routes: Iterable[tuple[str, str, H]] = ()) -> None:
        self._root: _Node[H] = _Node()
        self._exact: dict[str, dict[str, H]] = {}
        for method, pattern, handler in routes:
            self.add(method, pattern, handler)

    def add(self, method: str, pattern: str, handler: H) -> None:
        """Adds a route; ValueError for a malformed pattern or one that is there already."""
        node = self._root
        names: list[str] = []
        for segment in _split(pattern):
            name, greedy = _parameter(segment, pattern)
            if name is None:
                node = node.literals.setdefault(segment, _Node())
                continue
            if name in names:
                raise ValueError(f"{pattern}: the parameter {name} occurs twice")
            names.append(name)
            if greedy:
                node.greedy = node.greedy or _Node()
                node = node.greedy
            else:
                node.parameter = node.parameter or _Node()
                node = node.parameter
        if method in node.leaves:
            raise ValueError(f"{method} {pattern}: another route answers this already")
        node.leaves[method] = _Leaf(tuple(names), handler)
        if not names:
            self._exact.setdefault("/" + "/".join(_split(pattern)), {})[method] = handler

    def match(self, method: str, raw_path: str) -> Match[H] | MethodNotAllowed | None:
        """The route for a path as it came over the wire (not decoded, no query string).

        HEAD is answered by the route of GET where it has none of its own.
        """
        # A route without parameters is the first choice at every segment, so it can be found without a walk.
        exact = self._exact.get(raw_path)
        if exact is not None and (handler := exact.get(method)) is not None:
            return Match(handler, {})
        segments = _split(raw_path)
        if "%" in raw_path:
            segments = [unquote(segment) if "%" in segment else segment for segment in segments]
        values: list[str] = []
        leaf = _find(self._root, segments, 0, method, values)
        if leaf is None and method == "HEAD":
            leaf = _find(self._root, segments, 0, "GET", values)
        if leaf is not None:
            return Match(leaf.handler, dict(zip(leaf.names, values, strict=True)))
        allowed: set[str] = set()
        _collect(self._root, segments, 0, allowed)
        return MethodNotAllowed(tuple(sorted(allowed))) if allowed else None


def _split(path: str) -> list[str]:
    segments = path.split("/")
    if segments and segments[0] == "":
        segments = segments[1:]
    if segments and segments[-1] == "":
        segments.pop()
    return segments


def _parameter(segment: str, pattern: str) -> tuple[str | None, bool]:
    """(name, greedy) of a parameter segment, or (None, False) for a literal."""
    if not segment:
        raise ValueError(f"{pattern}: empty segment")
    if "{" not in segment and "}" not in segment:
        return None, False
    inner = segment[1:-1]
    if segment[0] != "{" or segment[-1] != "}" or "{" in inner or "}" in inner:
        raise ValueError(f"{pattern}: a parameter must be a whole segment")
    name, colon, kind = inner.partition(":")
    if not name or (colon and kind != "path"):
        raise ValueError(f"{pattern}: cannot read the parameter {segment}")
    return name, bool(colon)


def _find(node: _Node[H], segments: list[str], at: int, method: str, values: list[str]) -> _Leaf[H] | None:
    """Depth first, best choice first; `values` holds the parameters of the way to the leaf that is returned."""
    if at == len(segments):
        return node.leaves.get(method)
    segment = segments[at]
    below = node.literals.get(segment)
    if below is not None and (leaf := _find(below, segments, at + 1, method, values)) is not None:
        return leaf
    if node.parameter is not None and segment:
        values.append(segment)
        if (leaf := _find(node.parameter, segments, at + 1, method, values)) is not None:
            return leaf
        values.pop()
    if node.greedy is not None:
        # A route that goes on after the greedy parameter wins over one that ends with it; and of the places
        # where it can go on the last is meant.
        for end in (*range(len(segments) - 1, at, -1), len(segments)):
            values.append("/".join(segments[at:end]))
            if (leaf := _find(node.greedy, segments, end, method, values)) is not None:
                return leaf
            values.pop()
    return None


def _collect(node: _Node[H], segments: list[str], at: int, allowed: set[str]) -> None:
    """Adds the methods of every route that the path fits."""
    if at == len(segments):
        allowed.update(node.leaves)
        return
    below = node.literals.get(segments[at])
    if below is not None:
        _collect(below, segments, at + 1, allowed)
    if node.parameter is not None and segments[at]:
        _collect(node.parameter, segments, at + 1, allowed)
    if node.greedy is not None:
        for end in range(at + 1, len(segments) + 1):
            _collect(node.greedy, segments, end, allowed)
