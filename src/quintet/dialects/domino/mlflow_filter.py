"""The filters and orders of MLflow's searches: comparisons joined by AND, and keys with ASC or DESC."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from quintet.app.runs.views import Order, RunView
from quintet.dialects.domino.ids import experiment_run, series_name
from quintet.dialects.domino.mlflow_wire import STATUS, params_shown, tags_of_run
from quintet.domain.errors import Invalid

_TERM = re.compile(
    r"""(?:(?P<group>metrics?|params?|parameters?|tags?|attributes?|attr|run)\.)?
    (?P<name>`[^`]+`|"[^"]+"|[\w./-]+)\s*
    (?P<op>!=|>=|<=|=|>|<|NOT\s+LIKE|I?LIKE|NOT\s+IN|IN)\s*
    (?P<value>'[^']*'|"[^"]*"|\([^)]*\)|[-+\w.]+)""",
    re.VERBOSE | re.IGNORECASE,
)
_AND = re.compile(r"\s+AND\s+", re.IGNORECASE)
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_GROUPS = {"m": "metric", "p": "param", "t": "tag", "a": "attribute", "r": "attribute", "": "attribute"}

Value = Callable[[RunView], Any]


def _attributes() -> dict[str, Value]:
    return {
        "run_id": lambda v: experiment_run(v.run.id),
        "run_name": lambda v: v.run.name,
        "status": lambda v: STATUS[v.run.state],
        "user_id": lambda v: v.run.created_by,
        "start_time": lambda v: (v.run.started_at or v.run.created_at) // 1_000,
        "created": lambda v: v.run.created_at // 1_000,
        "end_time": lambda v: v.run.ended_at // 1_000 if v.run.ended_at is not None else None,
    }


ATTRIBUTES = _attributes()
ALIASES = {"run name": "run_name", "Run name": "run_name", "Run ID": "run_id", "start time": "start_time"}


def _value(group: str, name: str, field: str) -> Value:
    if group == "metric":
        return lambda v: next((r.last_value for r in v.rollups if series_name(r.metric, r.variant) == name), None)
    if group == "param":
        return lambda v: params_shown(v.run).get(name)
    if group == "tag":
        return lambda v: tags_of_run(v.run).get(name)
    found = ATTRIBUTES.get(ALIASES.get(name, name))
    if found is None:
        raise Invalid(f"'{name}' is no attribute; there are: {', '.join(ATTRIBUTES)}", field=field)
    return found


def parse_filter(text: str) -> Callable[[RunView], bool] | None:
    """Whether a run is wanted; None where all are. Invalid names `filter`."""
    if not text.strip():
        return None
    rules = []
    for part in _AND.split(_protected(text.strip())):
        found = _TERM.fullmatch(part.replace("\x00", " ").strip())
        if found is None:
            said = part[:80].replace("\x00", " ")
            raise Invalid(f"'{said}' is no comparison such as metrics.loss < 1 or params.lr = '0.1'", field="filter")
        rules.append(_rule(found))
    return lambda view: all(rule(view) for rule in rules)


def _protected(text: str) -> str:
    """Blanks inside quotes do not separate."""
    return _QUOTED.sub(lambda m: m.group(0).replace(" ", "\x00"), text)


def _rule(found: re.Match[str]) -> Callable[[RunView], bool]:
    group = _GROUPS[(found["group"] or "")[:1].lower()]
    value = _value(group, found["name"].strip("`\""), "filter")
    op = re.sub(r"\s+", " ", found["op"].upper())
    raw = found["value"]
    if op in ("IN", "NOT IN"):
        wanted = {a or b for a, b in _QUOTED.findall(raw)}
        return lambda view: (value(view) in wanted) == (op == "IN")
    if op.endswith("LIKE"):
        flags = re.IGNORECASE if op == "ILIKE" else 0
        parts = (".*" if c == "%" else "." if c == "_" else re.escape(c) for c in raw.strip("'\""))
        pattern = re.compile("".join(parts), flags | re.DOTALL)
        return lambda view: (pattern.fullmatch(str(value(view) or "")) is not None) != op.startswith("NOT")
    compare = _COMPARE[op]
    given: Any = raw.strip("'\"")
    if group == "metric" or (raw[0] not in "'\"" and group == "attribute"):
        try:
            given = float(given)
        except ValueError:
            raise Invalid(f"'{given[:40]}' is no number", field="filter") from None
    return lambda view: (actual := value(view)) is not None and type(given) is _kind(actual) and compare(actual, given)


def _kind(value: object) -> type:
    return float if isinstance(value, int | float) else str


_ORDER = re.compile(
    r"(?:(?P<group>\w+)\.)?(?P<name>`[^`]+`|\"[^\"]+\"|[\w./-]+)(?:\s+(?P<way>ASC|DESC))?", re.IGNORECASE
)


def parse_order(given: Sequence[str]) -> tuple[Order, ...]:
    """The keys of a sort; Invalid names `order_by`."""
    keys = []
    for text in given:
        found = _ORDER.fullmatch(text.strip())
        group = (found["group"] or "")[:1].lower() if found is not None else "?"
        if found is None or group not in _GROUPS:
            raise Invalid(f"'{text[:80]}' is no key such as metrics.loss DESC", field="order_by")
        value = _value(_GROUPS[group], found["name"].strip("`\""), "order_by")
        keys.append(Order(value, (found["way"] or "").upper() == "DESC"))
    return tuple(keys)
