"""What all dialects together have used is in every dialect's sums."""

from __future__ import annotations

import pytest

from tests.cross.wires import MAKERS
from tests.cross.world import World


def _calls(world: World) -> tuple[int, int]:
    """(calls, tokens) of the model that answers, as the Inference API sums them."""
    found = world.inference("GET", f"/inference-logs/summary?model={world.answers}")
    return found["total_calls"], found["total_tokens"]


def _cost(world: World) -> float:
    """What today's calls of it cost, as Domino allocates it."""
    query = f"window=today&aggregate=model&accumulate=true&filter=model:%22{world.answers}%22"
    rows = world.domino("GET", f"/api/cost/v1/allocation?{query}")["data"]
    return sum(float(row["totalCost"]) for row in rows)


@pytest.mark.parametrize("dialect", MAKERS["interaction"])
def test_a_call_through_any_dialect_is_counted_and_costs(world: World, dialect: str) -> None:
    (calls, tokens), cost = _calls(world), _cost(world)
    MAKERS["interaction"][dialect](world)
    after = _calls(world)
    assert after[0] == calls + 1
    assert after[1] > tokens
    assert _cost(world) > cost


def test_a_call_through_every_dialect_costs_the_same(world: World) -> None:
    spent = []
    for make in MAKERS["interaction"].values():
        before = _cost(world), _calls(world)[1]
        make(world)
        spent.append((round(_cost(world) - before[0], 9), _calls(world)[1] - before[1]))
    assert len(set(spent)) == 1, spent
