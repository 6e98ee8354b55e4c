"""Query strings, decoded by the types that a contract declares; what it does not declare is ignored."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from quintet.domain.errors import Invalid

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


@dataclass(frozen=True, slots=True)
class Param:
    """A query parameter. `type` is string, integer, number or boolean, of each item where `array`."""

    name: str
    required: bool = False
    type: str = "string"
    default: object = None
    array: bool = False
    enum: tuple[str, ...] = ()


def decode_query(given: QueryParams, params: Sequence[Param], *, comma: bool = False) -> dict[str, Any]:
    """Every declared parameter with its value, its default, or None. Invalid names the parameter.

    Arrays repeat the name, as `a=1&a=2` or `a[]=1&a[]=2`; with `comma` an item may hold several: `a=1,2`.
    """
    decoded: dict[str, Any] = {}
    for param in params:
        if param.array:
            texts = given.getlist(param.name) or given.getlist(f"{param.name}[]")
            if comma:
                texts = [part for text in texts for part in text.split(",") if part]
            if texts:
                decoded[param.name] = [decode_value(text, param) for text in texts]
                continue
        elif (text := given.get(param.name)) is not None:
            decoded[param.name] = decode_value(text, param)
            continue
        if param.required:
            raise Invalid("this parameter is required", field=param.name)
        decoded[param.name] = param.default
    return decoded


def decode_value(text: str, param: Param) -> object:
    """One value of a parameter, as its type."""
    if param.type == "integer":
        return parse_int(text, param.name)
    if param.type == "number":
        return parse_float(text, param.name)
    if param.type == "boolean":
        return parse_bool(text, param.name)
    if param.enum and text not in param.enum:
        raise Invalid(f"expected one of {', '.join(param.enum)}", field=param.name)
    return text


def parse_int(text: str, field: str) -> int:
    """An integer in decimal digits. Invalid names `field`."""
    if _INTEGER.fullmatch(text) is None:
        raise Invalid("expected an integer", field=field)
    return int(text)


def parse_float(text: str, field: str) -> float:
    """A finite number. Invalid names `field`."""
    try:
        number = float(text)
    except ValueError as error:
        raise Invalid("expected a number", field=field) from error
    if not math.isfinite(number):
        raise Invalid("expected a finite number", field=field)
    return number


def parse_bool(text: str, field: str) -> bool:
    """`true`, `1`, `yes`, `on` or their opposites, in any case. Invalid names `field`."""
    lowered = text.lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise Invalid("expected true or false", field=field)
