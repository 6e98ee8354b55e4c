"""What `get_all` of each noun takes, decoded: pages, projections, orders, and rules over fields."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from quintet.dialects.clearml.fields import Document, Projection, dig, split_path
from quintet.dialects.clearml.rules import (
    ListRule,
    Rule,
    filter_rule,
    list_rule,
    moment_rule,
    pattern_rule,
    range_rule,
    several_rule,
)
from quintet.domain.errors import Invalid

MAX_PAGE = 500
"""The most and the usual number of items on a page."""


@dataclass(frozen=True, slots=True)
class Noun:
    """Which fields of a noun a query may test, and how; a name that ends in `.*` stands for all below it."""

    fields: frozenset[str]
    patterns: frozenset[str]
    lists: frozenset[str]
    ranges: frozenset[str] = frozenset()
    moments: frozenset[str] = frozenset()
    equals: frozenset[str] = frozenset()


class OrderBy(NamedTuple):
    """One key of a sort."""

    path: tuple[str, ...]
    descending: bool


@dataclass(slots=True)
class Query:
    """A decoded query. `lists` hold the rules by field, for whoever narrows by SQL; `rules` all the others."""

    projection: Projection
    offset: int
    limit: int
    order: tuple[OrderBy, ...]
    patterns: dict[str, str] = field(default_factory=dict)
    lists: dict[str, ListRule] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    heads: set[str] = field(default_factory=set)
    """The fields that rules and orders look at."""

    def take(self, name: str) -> ListRule | None:
        """The rule of a field where SQL can answer it, taken out of those that are left."""
        rule = self.lists.get(name)
        return self.lists.pop(name) if rule is not None and rule.plain else None

    def one_of(self, name: str) -> list[str] | None:
        """The values of a field that must be one of them, taken out; None where the rule says anything more."""
        rule = self.lists.get(name)
        if rule is None or not rule.plain or rule.none_of or not rule.any_of:
            return None
        del self.lists[name]
        return [str(v) for v in rule.any_of]

    def close(self) -> Rule | None:
        """What is left as one test over a document; None where nothing is."""
        tests = list(self.rules)
        for name, rule in self.lists.items():
            tests.append(_over(split_path(name), rule))
            self.heads.add(split_path(name)[0])
        for name, text in self.patterns.items():
            tests.append(pattern_rule(split_path(name), text, name))
            self.heads.add(split_path(name)[0])
        if not tests:
            return None
        return lambda document: all(test(document) for test in tests)


def _over(path: tuple[str, ...], rule: ListRule) -> Rule:
    return lambda document: rule.matches(dig(document, path))


def decode_query(body: Mapping[str, Any], noun: Noun) -> Query:
    """A `get_all` body; what the noun does not know is ignored, as clients send more than they mean."""
    offset, limit = _page(body)
    query = Query(
        Projection(_texts(body.get("only_fields"), "only_fields"), noun.fields), offset, limit, _order(body, noun)
    )
    query.heads |= {key.path[0] for key in query.order}
    for name, value in body.items():
        if value is None:
            continue
        path = split_path(name)
        if name in noun.patterns:
            if not isinstance(value, str):
                raise Invalid("a pattern is text", field=name)
            query.patterns[name] = value
        elif name in noun.lists or f"{path[0]}.*" in noun.lists:
            # An empty list says nothing at all; it does not mean "none".
            if value != []:
                query.lists[name] = list_rule(value, name)
        elif name in noun.moments:
            _add(query, path, moment_rule(path, value, name))
        elif name in noun.ranges or f"{path[0]}.*" in noun.ranges:
            _add(query, path, range_rule(path, value, name))
        elif name in noun.equals or f"{path[0]}.*" in noun.equals:
            _add(query, path, _equals(path, value))
        elif name in ("_all_", "_and_", "_any_", "_or_"):
            query.rules.append(several_rule(value, name, every=name in ("_all_", "_and_")))
            query.heads |= {split_path(str(f))[0] for f in value["fields"]}
    for name, value in (body.get("filters") or {}).items():
        query.rules.append(_over(split_path(name), filter_rule(value, name)))
        query.heads.add(split_path(name)[0])
    if body.get("search_text"):
        query.rules.append(_text_rule(str(body["search_text"])))
        query.heads |= {"name", "comment", "id"}
    return query


def _add(query: Query, path: tuple[str, ...], rule: Rule) -> None:
    query.rules.append(rule)
    query.heads.add(path[0])


def _equals(path: tuple[str, ...], value: Any) -> Rule:
    return lambda document: dig(document, path) == value


def _text_rule(text: str) -> Rule:
    words = text.lower().split()

    def matches(document: Document) -> bool:
        shown = " ".join(str(document.get(name) or "") for name in ("name", "comment", "description", "id")).lower()
        return all(word in shown for word in words)

    return matches


def _page(body: Mapping[str, Any]) -> tuple[int, int]:
    if body.get("size") is not None or body.get("start") is not None:
        start, size = _int(body, "start", 0), _int(body, "size", MAX_PAGE)
        if start < 0 or size < 1:
            raise Invalid("'start' is 0 or more and 'size' 1 or more", field="size")
        return start, min(size, MAX_PAGE)
    page, size = _int(body, "page", 0), _int(body, "page_size", MAX_PAGE)
    if page < 0:
        raise Invalid("'page' is 0 or more", field="page")
    if size < 1:
        raise Invalid("'page_size' is 1 or more", field="page_size")
    size = min(size, MAX_PAGE)
    return page * size, size


def _int(body: Mapping[str, Any], name: str, default: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid("expected an integer", field=name)
    return value


def _order(body: Mapping[str, Any], noun: Noun) -> tuple[OrderBy, ...]:
    keys: list[OrderBy] = []
    for text in _texts(body.get("order_by"), "order_by") or ():
        if text == "@text_score":
            continue
        path = split_path(text.lstrip("-"))
        if path[0] not in noun.fields:
            raise Invalid(f"there is no field '{path[0]}' to sort by", field="order_by", subcode=14)
        keys.append(OrderBy(path, text.startswith("-")))
    return tuple(keys)


def _texts(value: Any, name: str) -> Sequence[str] | None:
    if value is None:
        return None
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(i, str) for i in items):
        raise Invalid("expected a list of texts", field=name)
    return items


def flag(body: Mapping[str, Any], name: str) -> bool:
    """A switch of a query, off where it is missing or null."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise Invalid("expected true or false", field=name)
    return bool(value)


def sort_documents(documents: list[Document], order: Sequence[OrderBy]) -> list[Document]:
    """Documents of nouns that a space has few of, in the order asked for; those without a value come last."""
    for key in reversed(order):
        have = [d for d in documents if dig(d, key.path) not in (None, "")]
        lack = [d for d in documents if dig(d, key.path) in (None, "")]
        have.sort(key=lambda d: _rank(dig(d, key.path)), reverse=key.descending)
        documents = have + lack
    return documents


def _rank(value: Any) -> tuple[int, float, str]:
    return (0, float(value), "") if isinstance(value, bool | int | float) else (1, 0.0, str(value))


def finish(query: Query, documents: list[Document], heads: Collection[str] = ()) -> list[Document]:
    """Filters, sorts, pages and projects documents in memory."""
    test = query.close()
    kept = documents if test is None else [d for d in documents if test(d)]
    kept = sort_documents(kept, query.order)[query.offset : query.offset + query.limit]
    return [query.projection.apply(d) for d in kept]
