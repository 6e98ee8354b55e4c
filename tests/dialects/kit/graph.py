"""A small schema and what asks it: shared by the tests of the GraphQL binder."""

from __future__ import annotations

import json
from typing import Any, cast

import msgspec
from tests.dialects.kit.wire import KEY, NO_CORE, Sent, run, signed_in

from quintet.app.core import Core
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.graphql import GraphqlBinder, Limits
from quintet.domain.errors import NotFound, QuintetError

SDL = """
schema { query: Root mutation: Change }
directive @include(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT
scalar Upload
scalar Moment
enum Order { ASC DESC }
input Page { first: Int, after: String }
input Sorting { by: String!, order: Order! }
union Shape = Circle | Square
type Circle { radius: Int! }
type Square { side: Int! }
type Node { id: ID!, size: Int!, parent: Node, children(page: Page, first: Int): [Node!]!, owner: String }
type Root {
  node(id: ID!): Node
  nodes(page: Page, order: [Sorting!]! = [{by: "id", order: DESC}]): [Node!]!
  sorted(order: Order! = DESC): String
  at(when: Moment!): Int!
  shape: Shape
  later: String
}
type Change { rename(id: ID!, name: String): String, upload(file: Upload, files: [Upload!]): [String!] }
"""


class FakeCore:
    """Runs use cases without a database and counts how often."""

    def __init__(self) -> None:
        self.reads = 0

    async def read(self, actor: object, use_case: Any, *args: Any) -> Any:
        self.reads += 1
        return use_case(None, *args)


def say(error: QuintetError) -> str:
    return f"Sorry: {error.message}"


def binder(limits: Limits | None = None, sdl: str = SDL) -> GraphqlBinder:
    return GraphqlBinder(sdl, authenticate=signed_in, message=say, limits=limits)


def node(ident: str, parent: Any = None) -> dict[str, Any]:
    return {"id": ident, "size": 2**40, "parent": parent, "children": [], "owner_id": "o1"}


def bound(limits: Limits | None = None) -> GraphqlBinder:
    made = binder(limits)

    @made.query("nodes")
    async def nodes(call: Call, obj: None, **arguments: Any) -> Any:
        call.request.state.seen = arguments
        return [node("1"), node("2")]

    @made.query("node")
    async def one(call: Call, obj: None, id: str) -> Any:
        if id == "bug":
            raise ValueError("secret")
        if id == "missing":
            raise NotFound.of("node", id)
        return node(id)

    return made


def ask(made: GraphqlBinder, query: str, variables: object = None, core: object = NO_CORE, **more: Any) -> Any:
    asked = {"query": query, "variables": variables, **more}
    sent = Sent("POST", "/graphql", msgspec.json.encode(asked), headers=KEY)
    response = run(made.handle(sent.request(), cast(Core, core), "r-1", {}))
    assert response.status_code == 200
    return json.loads(bytes(response.body))
