"""Choosing the next token of each row by the row's own settings and its own random numbers.

One uniform number a token, from the row's own generator, through the inverse of the cumulative distribution:
whatever rows share the batch, a seed gives the same choices.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch


@dataclass
class Sampling:
    """`temperature` 0 takes the likeliest token; `top_p` keeps the smallest set of tokens with that mass."""

    temperature: float
    top_p: float
    seed: int
    # Python's generator: its sequence for a seed is the same on all machines and devices.
    numbers: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.numbers = random.Random(self.seed)  # noqa: S311 - reproducible on purpose


def choose(logits: torch.Tensor, rows: Sequence[Sampling]) -> list[int]:
    """The next token of each row; `logits` is (rows, vocabulary)."""
    tokens: list[int] = logits.argmax(dim=-1).tolist()
    drawn = [i for i, row in enumerate(rows) if row.temperature > 0]
    # Apart, because the order in which the mass is summed up decides what a number means: a neighbour's
    # `top_p` must not change the choice of a row without one.
    for nucleus in (False, True):
        group = [i for i in drawn if (rows[i].top_p < 1) is nucleus]
        if group:
            for i, token in zip(group, _draw(logits[group], [rows[i] for i in group], nucleus), strict=True):
                tokens[i] = token
    return tokens


def _draw(logits: torch.Tensor, rows: Sequence[Sampling], nucleus: bool) -> list[int]:
    # Double precision: over a vocabulary of 150,000 the rounding of a float cumulative sum would show.
    device = logits.device
    heat = torch.tensor([[row.temperature] for row in rows], dtype=torch.float64, device=device)
    uniform = torch.tensor([[row.numbers.random()] for row in rows], dtype=torch.float64, device=device)
    # Divided after the maximum is taken off, so that a tiny temperature cannot overflow.
    scaled = logits.double()
    mass = torch.softmax((scaled - scaled.max(dim=-1, keepdim=True).values) / heat, dim=-1)
    order: torch.Tensor | None = None
    if nucleus:
        mass, order = torch.sort(mass, dim=-1, descending=True, stable=True)
        limit = torch.tensor([[row.top_p] for row in rows], dtype=torch.float64, device=device)
        # A token stays where the mass before it has not reached the limit, so the first one always does.
        mass = mass.masked_fill(mass.cumsum(dim=-1) - mass >= limit, 0.0)
    sums = mass.cumsum(dim=-1)
    places = torch.searchsorted(sums, uniform * sums[:, -1:], right=True)
    # Rounding at the very end could land past the last token that has any mass: step back to it.
    last = mass.shape[-1] - 1 - (mass > 0).flip(-1).to(torch.uint8).argmax(dim=-1, keepdim=True)
    places = torch.minimum(places, last)
    if order is not None:
        places = order.gather(-1, places)
    picked: list[int] = places.squeeze(-1).tolist()
    return picked
