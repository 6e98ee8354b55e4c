"""Schemas by contract: built from the given SDL, with integers as wide as clients use them, and compared with it."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    IntValueNode,
    Visitor,
    build_schema,
    get_named_type,
    is_composite_type,
    lexicographic_sort_schema,
    parse,
    print_ast,
    print_schema,
    visit,
)

WIDEST = (1 << 63) - 1


def _integer(value: Any) -> int:
    """An integer of 64 bits, from a number; not from text and not from a truth value."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise GraphQLError(f"Int cannot represent non-integer value: {value!r}"[:200])
    if not -WIDEST - 1 <= value <= WIDEST:
        raise GraphQLError("Int cannot represent a value of more than 64 bits")
    return value


def _integer_literal(node: Any, _variables: Any = None) -> int:
    if not isinstance(node, IntValueNode):
        raise GraphQLError("Int cannot represent non-integer value", node)
    return _integer(int(node.value))


def widen_integers(schema: GraphQLSchema) -> None:
    """Replaces `Int` by one of 64 bits: token counts and durations in microseconds do not fit into 32.

    In this schema only; graphql-core's own type is shared by every schema of the process.
    """
    narrow = schema.type_map.get("Int")
    if not isinstance(narrow, GraphQLScalarType):
        return
    wide = GraphQLScalarType(
        "WideInt",
        coerce_output_value=_integer,
        coerce_input_value=_integer,
        coerce_input_literal=_integer_literal,
        value_to_literal=lambda value: IntValueNode(value=str(_integer(value))),
        description=narrow.description,
    )
    wide.name = "Int"  # the constructor refuses the names of built-in types
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for field in kind.fields.values():
                field.type = _swap(field.type, narrow, wide)
                for argument in field.args.values():
                    argument.type = _swap(argument.type, narrow, wide)
        elif isinstance(kind, GraphQLInputObjectType):
            for entry in kind.fields.values():
                entry.type = _swap(entry.type, narrow, wide)
    schema.type_map["Int"] = wide


def _swap(kind: Any, old: GraphQLNamedType, new: GraphQLNamedType) -> Any:
    if isinstance(kind, GraphQLNonNull):
        return GraphQLNonNull(_swap(kind.of_type, old, new))
    if isinstance(kind, GraphQLList):
        return GraphQLList(_swap(kind.of_type, old, new))
    return new if kind is old else kind


def composite_fields(schema: GraphQLSchema) -> dict[tuple[str, str], str]:
    """The named type of every (type, field) that has fields of its own."""
    found: dict[tuple[str, str], str] = {}
    for name, kind in schema.type_map.items():
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for field_name, field in kind.fields.items():
                below = get_named_type(field.type)
                if is_composite_type(below):
                    found[name, field_name] = below.name
    return found


def structure(schema: GraphQLSchema) -> str:
    """The schema as sorted SDL without descriptions: equal for schemas that mean the same."""
    document = parse(print_schema(lexicographic_sort_schema(schema)), no_location=True)
    return print_ast(visit(document, _WithoutDescriptions()))


class _WithoutDescriptions(Visitor):
    def leave(self, node: Any, *_: Any) -> Any:
        # None leaves a node as it is; nodes are immutable and only some have a description.
        return replace(node, description=None) if getattr(node, "description", None) is not None else None


def differences(contract_sdl: str, served: GraphQLSchema) -> list[str]:
    """What the served schema adds to the contract (`+ line`) and lacks of it (`- line`); empty where they agree."""
    contract = structure(build_schema(contract_sdl)).splitlines()
    # Printing and building once more drops what only the running schema has: resolvers, internal enum values.
    running = structure(build_schema(print_schema(served))).splitlines()
    return [line for line in difflib.ndiff(contract, running) if line[:2] in ("+ ", "- ")]
