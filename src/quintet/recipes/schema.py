"""A recipe's arguments: a frozen dataclass whose fields document themselves, as JSON schema and as a parser.

    @dataclass(frozen=True, slots=True)
    class Settings:
        rate: Annotated[float, Field(description="Step size.", ge=0.0)] = 1e-3

Understood types: str, int, float, bool, `X | None`, Literal, StrEnum, list[X], tuple[X, ...], dict[str, X],
Any, and other such dataclasses. Anything else is refused when the schema is made, not when a run starts.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from enum import Enum
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from quintet.domain.errors import Invalid

C = TypeVar("C")

_SCALARS: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


@dataclass(frozen=True, slots=True)
class Field:
    """What a field's type does not say. `ge` and `le` bound numbers (for lists, each item), both inclusive."""

    title: str = ""
    description: str = ""
    ge: float | None = None
    le: float | None = None
    choices: tuple[Any, ...] = ()


def json_schema(config_type: type) -> dict[str, Any]:
    """JSON schema of `config_type`: an object with `properties` and `required` (which may be empty).

    TypeError if a field's type is none that is understood here.
    """
    properties: dict[str, Any] = {}
    required: list[str] = []
    hints = get_type_hints(config_type, include_extras=True)
    for item in dataclasses.fields(config_type):
        kind, notes = _unwrap(hints[item.name])
        where = f"{config_type.__name__}.{item.name}"
        schema = _type_schema(kind, where)
        _annotate(schema, notes)
        schema.setdefault("title", item.name.replace("_", " ").capitalize())
        schema.setdefault("description", "")
        default = _default(item)
        if default is MISSING:
            required.append(item.name)
        else:
            schema["default"] = _plain(default)
        properties[item.name] = schema
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def parse_config(config_type: type[C], args: Mapping[str, Any]) -> C:
    """`config_type` made of `args`, all checked; Invalid, with `field` naming the argument, if one does not fit."""
    return _parse_object(config_type, args, "")


def _parse_object(config_type: type[C], args: Mapping[str, Any], prefix: str) -> C:
    if not isinstance(args, Mapping):
        raise Invalid(f"{prefix.rstrip('.') or 'the arguments'} must be an object", field=prefix.rstrip(".") or None)
    items = {item.name: item for item in dataclasses.fields(config_type)}  # type: ignore[arg-type]
    for name in args:
        if name not in items:
            near = difflib.get_close_matches(str(name), items, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(items)}"
            raise Invalid(f"there is no argument '{prefix}{name}'{hint}", field=f"{prefix}{name}")
    hints = get_type_hints(config_type, include_extras=True)
    values: dict[str, Any] = {}
    for name, item in items.items():
        if name in args:
            kind, notes = _unwrap(hints[name])
            values[name] = _parse(kind, args[name], f"{prefix}{name}")
            _check(values[name], notes, f"{prefix}{name}")
        elif _default(item) is MISSING:
            raise Invalid(f"'{prefix}{name}' is required", field=f"{prefix}{name}")
    return config_type(**values)


def _unwrap(hint: Any) -> tuple[Any, Field]:
    """The bare type and the notes of `Annotated[type, Field(...)]`."""
    if get_origin(hint) is Annotated:
        kind, *extras = get_args(hint)
        return kind, next((extra for extra in extras if isinstance(extra, Field)), Field())
    return hint, Field()


def _default(item: dataclasses.Field[Any]) -> Any:
    if item.default_factory is not MISSING:
        return item.default_factory()
    return item.default


def _plain(value: Any) -> Any:
    """A default as JSON would have it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return value


def _annotate(schema: dict[str, Any], notes: Field) -> None:
    if notes.title:
        schema["title"] = notes.title
    if notes.description:
        schema["description"] = notes.description
    target = schema["items"] if schema.get("type") == "array" else schema
    if notes.ge is not None:
        target["minimum"] = notes.ge
    if notes.le is not None:
        target["maximum"] = notes.le
    if notes.choices:
        nullable = isinstance(target.get("type"), list) and "null" in target["type"]
        target["enum"] = [*notes.choices, *([None] if nullable else [])]


def _type_schema(kind: Any, where: str) -> dict[str, Any]:
    if kind is Any:
        return {}
    if kind in _SCALARS:
        return {"type": _SCALARS[kind]}
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _union_schema(inner, where)
    if origin is Literal:
        return {"type": _SCALARS[type(inner[0])], "enum": list(inner)}
    if origin is list or (origin is tuple and len(inner) == 2 and inner[1] is Ellipsis):
        return {"type": "array", "items": _type_schema(inner[0], where)}
    if kind is dict or (origin is dict and inner[0] is str):
        values = _type_schema(inner[1], where) if inner else {}
        return {"type": "object", "additionalProperties": values or True}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"type": "string", "enum": [member.value for member in kind]}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return json_schema(kind)
    raise TypeError(f"{where}: {kind!r} is no type that a recipe's arguments can have")


def _union_schema(members: tuple[Any, ...], where: str) -> dict[str, Any]:
    schemas = [_type_schema(member, where) for member in members if member is not type(None)]
    if len(schemas) > 1:
        null = [{"type": "null"}] if type(None) in members else []
        return {"anyOf": schemas + null}
    schema = schemas[0]
    if type(None) in members and "type" in schema:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    return schema


def _parse(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    if kind in _SCALARS:
        return _parse_scalar(kind, value, where)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _parse_union(inner, value, where)
    if origin is Literal:
        # By type too: to Python, True equals 1.
        if not any(value == member and type(value) is type(member) for member in inner):
            raise _wrong(where, f"one of {', '.join(map(str, inner))}", value)
        return value
    if origin is list or origin is tuple:
        if not isinstance(value, list | tuple):
            raise _wrong(where, "a list", value)
        parts = [_parse(inner[0], part, f"{where}[{i}]") for i, part in enumerate(value)]
        return parts if origin is list else tuple(parts)
    if kind is dict or origin is dict:
        if not isinstance(value, Mapping):
            raise _wrong(where, "an object", value)
        item = inner[1] if inner else Any
        return {str(name): _parse(item, part, f"{where}.{name}") for name, part in value.items()}
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError:
            raise _wrong(where, f"one of {', '.join(str(m.value) for m in kind)}", value) from None
    return _parse_object(kind, value, f"{where}.")


def _parse_scalar(kind: Any, value: Any, where: str) -> Any:
    # JSON has one kind of number and clients send 1.0 for 1; a bool is never a number, though Python says so.
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)) and kind is not float:
        return value
    names = {str: "a text", int: "a whole number", float: "a finite number", bool: "true or false"}
    raise _wrong(where, names[kind], value)


def _parse_union(members: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in members:
        return None
    others = [member for member in members if member is not type(None)]
    if len(others) == 1:
        return _parse(others[0], value, where)
    for member in others:
        try:
            return _parse(member, value, where)
        except Invalid:
            continue
    raise _wrong(where, " or ".join(getattr(member, "__name__", str(member)) for member in others), value)


def _check(value: Any, notes: Field, where: str) -> None:
    if isinstance(value, list | tuple):
        for i, part in enumerate(value):
            _check(part, notes, f"{where}[{i}]")
        return
    if value is None:
        return
    if notes.choices and value not in notes.choices:
        raise _wrong(where, f"one of {', '.join(map(str, notes.choices))}", value)
    if notes.ge is not None and value < notes.ge:
        raise _wrong(where, f"at least {notes.ge:g}", value)
    if notes.le is not None and value > notes.le:
        raise _wrong(where, f"at most {notes.le:g}", value)


def _wrong(where: str, wanted: str, value: Any) -> Invalid:
    shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
    return Invalid(f"'{where}' must be {wanted}, not {shown}", field=where)
