"""The rules that queries of this dialect are made of: lists with operators, ranges, moments, patterns.

Each is a small object over the values of one field; `queries.py` says which field of which noun takes which.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from quintet.dialects.clearml.fields import Document, dig
from quintet.dialects.kit.times import parse_rfc3339
from quintet.domain.errors import Invalid

Rule = Callable[[Document], bool]

MAX_PATTERN = 1_000
"""The longest regular expression: enough for a list of ids, short enough to compile in no time."""

_ANY = ("__$any", "__$or")
_ALL = ("__$all", "__$and")
_LITERAL = re.compile(r"\^((?:[^\\^$.|?*+()\[\]{}]|\\[^A-Za-z0-9])*)\$")


@dataclass(slots=True)
class ListRule:
    """What a field must hold: one of / all of some values, none of / not all of others; None means "empty"."""

    any_of: list[Any] = field(default_factory=list)
    all_of: list[Any] = field(default_factory=list)
    not_all: list[Any] = field(default_factory=list)
    none_of: list[Any] = field(default_factory=list)
    either: bool = False
    """The groups are alternatives rather than all to be met."""

    @property
    def plain(self) -> bool:
        """Whether it is only "one of these and none of those", which a database index answers."""
        return not (self.all_of or self.not_all or self.either or None in self.any_of or None in self.none_of)

    def matches(self, value: Any) -> bool:
        if value is None or value == "":
            held: Sequence[Any] = ()
        else:
            held = value if isinstance(value, list) else [value]
        met: list[bool] = []
        if self.any_of:
            met.append(any(_holds(held, x) for x in self.any_of))
        if self.not_all:
            met.append(any(not _holds(held, x) for x in self.not_all))
        if self.all_of:
            met.append(all(_holds(held, x) for x in self.all_of))
        if self.none_of:
            met.append(not any(_holds(held, x) for x in self.none_of))
        if not met:
            return True
        return any(met) if self.either else all(met)


def _holds(held: Sequence[Any], wanted: Any) -> bool:
    return not held if wanted is None else wanted in held


def list_rule(given: Any, name: str) -> ListRule:
    """`["x", "-y", "__$not", "z"]` and its operators as a rule; a value alone is a list of one.

    Invalid (16) for an operator that there is not.
    """
    items = given if isinstance(given, list) else [given]
    rule = ListRule()
    context = ""
    negated = seen_operator = False
    for item in items:
        if item is not None and not isinstance(item, str | int | float):
            raise Invalid("a value of the list is not text", field=name)
        if isinstance(item, str) and item.startswith("__$"):
            negated = item == "__$not"
            if item in _ANY or item in _ALL:
                if not seen_operator:
                    rule.either = item in _ANY
                context = "any" if item in _ANY else "all"
            elif item == "__$nop":
                context = ""
            elif not negated:
                raise Invalid(f"'{item}' is no operator of a list", field=name, subcode=16)
            seen_operator = True
            continue
        if not seen_operator and isinstance(item, str) and len(item) > 1 and item.startswith("-"):
            rule.none_of.append(item[1:])
            continue
        _place(rule, context, item, negated=negated)
        negated = False
    return rule


def _place(rule: ListRule, context: str, item: Any, *, negated: bool) -> None:
    if context == "all":
        (rule.none_of if negated else rule.all_of).append(item)
    elif context == "any":
        (rule.not_all if negated else rule.any_of).append(item)
    else:
        (rule.none_of if negated else rule.any_of).append(item)


def filter_rule(given: Any, name: str) -> ListRule:
    """`{any: {include, exclude}, all: {include, exclude}, op}` as a rule."""
    if not isinstance(given, dict) or not set(given) <= {"any", "all", "op"}:
        raise Invalid("a filter has 'any', 'all' and 'op'", field=f"filters.{name}")
    rule = ListRule(either=given.get("op") == "or")
    if given.get("op") not in (None, "and", "or"):
        raise Invalid("'op' is 'and' or 'or'", field=f"filters.{name}.op")
    for context, include, exclude in (
        ("any", rule.any_of, rule.not_all),
        ("all", rule.all_of, rule.none_of),
    ):
        group = given.get(context) or {}
        if not isinstance(group, dict) or not set(group) <= {"include", "exclude"}:
            raise Invalid("a group has 'include' and 'exclude'", field=f"filters.{name}.{context}")
        for target, values in ((include, group.get("include")), (exclude, group.get("exclude"))):
            if values is not None and not isinstance(values, list):
                raise Invalid("this is a list of values", field=f"filters.{name}.{context}")
            target.extend(values or ())
    return rule


@lru_cache(maxsize=512)
def pattern(text: str, name: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    """A regular expression of a client; Invalid (21) where it is none."""
    if len(text) > MAX_PATTERN:
        raise Invalid(f"a pattern has at most {MAX_PATTERN} characters", field=name, subcode=21)
    try:
        return re.compile(text, re.IGNORECASE if ignore_case else 0)
    except (re.error, RecursionError) as error:
        raise Invalid(f"'{text[:100]}' is not a regular expression", field=name, subcode=21) from error


def literal(text: str) -> str | None:
    """The name that a pattern such as `^my\\ name$` stands for: clients ask for exact names like this."""
    found = _LITERAL.fullmatch(text)
    return None if found is None else re.sub(r"\\(.)", r"\1", found[1])


def range_rule(path: tuple[str, ...], given: Any, name: str) -> Rule:
    """`[least, most]`, inclusive, null open; a null at the least end also lets a missing value through."""
    if not isinstance(given, list) or len(given) != 2:
        raise Invalid("a range is a list of two values", field=name)
    low, high = (_bound(x) for x in given)

    def matches(document: Document) -> bool:
        value = _bound(dig(document, path))
        if value is None:
            return low is None
        try:
            return (low is None or value >= low) and (high is None or value <= high)
        except TypeError:
            return False

    return matches


def _bound(value: Any) -> Any:
    """Moments as microseconds, so that they compare whatever their zone; the rest as it is."""
    if not isinstance(value, str):
        return value
    try:
        return parse_rfc3339(value, "")
    except Invalid:
        return value


_MOMENT = re.compile(r"\s*(>=|<=|>|<|==?)?\s*(.+)")


def moment_rule(path: tuple[str, ...], given: Any, name: str) -> Rule:
    """`">=2025-01-01T00:00:00"`, a list of such (all must hold), or a plain range of two."""
    items = given if isinstance(given, list) else [given]
    if len(items) == 2 and not any(isinstance(i, str) and i.lstrip()[:1] in (">", "<", "=") for i in items):
        return range_rule(path, items, name)
    tests: list[tuple[str, int]] = []
    for item in items:
        found = _MOMENT.fullmatch(item) if isinstance(item, str) else None
        if found is None:
            raise Invalid("a moment is written like '>=2025-01-31T12:00:00'", field=name)
        tests.append((found[1] or "==", parse_rfc3339(found[2], name)))

    def matches(document: Document) -> bool:
        value = _bound(dig(document, path))
        return isinstance(value, int) and all(_compare(value, op, limit) for op, limit in tests)

    return matches


def _compare(value: int, op: str, limit: int) -> bool:
    match op:
        case ">=":
            return value >= limit
        case "<=":
            return value <= limit
        case ">":
            return value > limit
        case "<":
            return value < limit
        case _:
            return value == limit


def several_rule(given: Any, name: str, *, every: bool) -> Rule:
    """`_all_` and `_any_`: one pattern (ignoring case) or one moment over several fields."""
    if not isinstance(given, dict) or not isinstance(given.get("fields"), list) or not given["fields"]:
        raise Invalid("this names 'fields' and a 'pattern' or a 'datetime'", field=name)
    if ("pattern" in given) == ("datetime" in given):
        raise Invalid("this has either a 'pattern' or a 'datetime'", field=name)
    paths = [tuple(str(f).split(".")) for f in given["fields"]]
    join = all if every else any
    if "datetime" in given:
        rules = [moment_rule(path, given["datetime"], name) for path in paths]
        return lambda document: join(rule(document) for rule in rules)
    wanted = pattern(str(given["pattern"]), name, ignore_case=True)
    return lambda document: join(_found(wanted, dig(document, path)) for path in paths)


def _found(wanted: re.Pattern[str], value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return any(isinstance(v, str | int | float) and wanted.search(str(v)) is not None for v in values)


def pattern_rule(path: tuple[str, ...], text: str, name: str) -> Rule:
    """A field whose text the pattern is found in, with case."""
    wanted = pattern(text, name)
    return lambda document: _found(wanted, dig(document, path))
