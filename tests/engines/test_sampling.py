"""Choosing tokens: the right distribution, and no influence of the neighbours."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from quintet.engines.transformers.sampling import Sampling, choose  # noqa: E402 - needs torch itself

pytestmark = pytest.mark.models

LOGITS = [2.0, 1.0, 0.0, -1.0, 1.5]


def draws(count: int, temperature: float = 1.0, top_p: float = 1.0) -> list[float]:
    row = Sampling(temperature, top_p, seed=7)
    logits = torch.tensor([LOGITS])
    seen = [0] * len(LOGITS)
    for _ in range(count):
        seen[choose(logits, [row])[0]] += 1
    return [n / count for n in seen]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_are_the_softmax_at_the_temperature(temperature: float) -> None:
    weights = [math.exp(x / temperature) for x in LOGITS]
    expected = [w / sum(weights) for w in weights]
    assert draws(3000, temperature) == pytest.approx(expected, abs=0.035)


def test_top_p_keeps_the_smallest_set_with_that_mass() -> None:
    # The masses are about 0.46, 0.17, 0.06, 0.02, 0.28: two tokens reach 0.7, three reach 0.8.
    two, three = draws(500, top_p=0.7), draws(500, top_p=0.8)
    assert [i for i, f in enumerate(two) if f] == [0, 4]
    assert [i for i, f in enumerate(three) if f] == [0, 1, 4]


def test_a_row_chooses_the_same_whoever_its_neighbours_are() -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, 50)
    settings = [(1.0, 1.0), (1.0, 0.5), (0.0, 1.0), (0.7, 1.0), (2.0, 0.9), (0.0, 0.1)]
    alone = [
        [choose(logits[i : i + 1], [row])[0] for _ in range(20)]
        for i, (t, p) in enumerate(settings)
        for row in [Sampling(t, p, seed=i)]
    ]
    rows = [Sampling(t, p, seed=i) for i, (t, p) in enumerate(settings)]
    together = [choose(logits, rows) for _ in range(20)]
    assert [list(column) for column in zip(*together, strict=True)] == alone


def test_extreme_logits_and_temperatures_stay_finite() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0, float("-inf")]])
    for temperature in (1e-9, 1.0, 100.0):
        assert choose(logits, [Sampling(temperature, 0.999, seed=1)]) == [0]
