"""How large a GraphQL operation may be: depth, aliases and cost, all counted through fragments.

A rule that looks at the ancestors of a field in the text misses what fragment spreads nest, and counting by
expansion lets a few lines of fragments stand for millions of fields. So each fragment is measured once, and its
numbers are added wherever it is spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
)

from quintet.domain.errors import Quota

SIZES = frozenset({"first", "last", "limit", "pageSize", "perPage"})
"""Arguments that say how many items a list will have, directly or inside an input such as `page`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Past any of these an operation is refused before it runs.

    depth: the deepest that the official client asks for is 8.
    aliases: one field under 50 names is one request doing the work of 50.
    tokens: the longest text of the official client has 220; the parser stops at the cap.
    cost: fields, each multiplied by the sizes of the lists above it; a page of 1,000 items with 50 fields each.
    upload: bytes of a multipart request in all.
    """

    depth: int = 12
    aliases: int = 50
    tokens: int = 4_000
    cost: int = 50_000
    body: int = 4 << 20
    upload: int = 512 << 20
    costs: Mapping[str, int] = field(default_factory=dict)
    """More than 1 for fields that are dear to resolve: `{"QueryRoot.globalUsage": 100}`."""


class Size(NamedTuple):
    """What was measured of an operation or a fragment."""

    depth: int
    aliases: int
    cost: int


def check(
    document: DocumentNode,
    operation: OperationDefinitionNode,
    root: str,
    variables: Mapping[str, Any],
    limits: Limits,
    types: Mapping[tuple[str, str], str],
) -> Size:
    """The size of a valid operation (without fragment cycles); Quota where it is past a limit.

    root: the name of its root type. types: the named type of each (type, field) that has fields of its own.
    """
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    size = _Measure(fragments, variables, limits.costs, types).of(operation.selection_set, root)
    for name, found, most in (
        ("nested", size.depth, limits.depth),
        ("aliased", size.aliases, limits.aliases),
        ("costly", size.cost, limits.cost),
    ):
        if found > most:
            raise Quota(f"the operation is too {name}: {found}, and at most {most} is served", limit=most)
    return size


class _Measure:
    def __init__(
        self,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Mapping[str, Any],
        costs: Mapping[str, int],
        types: Mapping[tuple[str, str], str],
    ) -> None:
        self._fragments = fragments
        self._variables = variables
        self._costs = costs
        self._types = types
        self._known: dict[str, Size] = {}

    def of(self, selections: SelectionSetNode, parent: str) -> Size:
        depth = aliases = cost = 0
        for node in selections.selections:
            if isinstance(node, FieldNode):
                size = self._field(node, parent)
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                size = self.of(node.selection_set, condition.name.value if condition else parent)
            elif isinstance(node, FragmentSpreadNode):
                size = self._fragment(node.name.value)
            else:
                continue
            depth, aliases, cost = max(depth, size.depth), aliases + size.aliases, cost + size.cost
        return Size(depth, aliases, cost)

    def _field(self, node: FieldNode, parent: str) -> Size:
        name = node.name.value
        aliased = 1 if node.alias is not None else 0
        own = self._costs.get(f"{parent}.{name}", 1)
        if node.selection_set is None:
            return Size(1, aliased, own)
        below = self.of(node.selection_set, self._types.get((parent, name), ""))
        # Introspection nests deeply by nature; a validation rule bounds it, so its depth does not count here.
        depth = 1 if name in ("__schema", "__type") else 1 + below.depth
        return Size(depth, aliased + below.aliases, own + self._items(node) * below.cost)

    def _fragment(self, name: str) -> Size:
        size = self._known.get(name)
        if size is None:
            fragment = self._fragments[name]
            size = self.of(fragment.selection_set, fragment.type_condition.name.value)
            self._known[name] = size
        return size

    def _items(self, node: FieldNode) -> int:
        """The largest size that the arguments ask for, at least 1."""
        sizes = [1]
        for argument in node.arguments or ():
            value = self._value(argument.value)
            if argument.name.value in SIZES:
                sizes.append(_whole(value))
            elif isinstance(value, Mapping):
                sizes += [_whole(item) for key, item in value.items() if key in SIZES]
        return max(sizes)

    def _value(self, node: ValueNode) -> Any:
        """An argument as far as sizes need it: integers, variables, and one level of objects."""
        if isinstance(node, VariableNode):
            return self._variables.get(node.name.value)
        if isinstance(node, IntValueNode):
            return int(node.value)
        if isinstance(node, ObjectValueNode):
            return {entry.name.value: self._value(entry.value) for entry in node.fields}
        return None


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
