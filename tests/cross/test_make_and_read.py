"""Made through one dialect, read through another: for every noun that two dialects share, in both directions."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.cross.wires import MAKERS, READERS
from tests.cross.world import Thing, World
from tests.dialects.wires import OPERATIONS

DIALECTS = ("adaptive", "clearml", "domino", "mlflow", "llama_stack", "inference")
"""MLflow's paths belong to Domino's dialect; a client of theirs is one of its own."""

BESIDE = {("model", "recipe")}
"""Who makes things besides the dialects: what our own recipes register."""


@dataclass(frozen=True)
class Lack:
    """Why a dialect cannot; `waits_for` are operations of its contract that would make it possible."""

    why: str
    waits_for: tuple[str, ...] = ()


_NO_PROJECTS = Lack("has no word for a project: what it makes goes to the default one")
_DATA_IS_TASKS = Lack("keeps a dataset as a task and its files, which the core takes for a run")
_NO_CALLS = Lack("has no word for a call of a model")
_CONNECTORS = Lack("has connectors, which are not served", ("POST /connectors", "GET /connectors"))
_INPUTS = Lack("notes datasets as inputs of runs, which is not served", ("POST /api/2.0/mlflow/runs/log-inputs",))
_GATEWAY = Lack("calls through the gateway, whose paths are Domino's")

CANNOT_MAKE: dict[tuple[str, str], Lack] = {
    ("project", "llama_stack"): _NO_PROJECTS,
    ("project", "inference"): _NO_PROJECTS,
    ("model", "llama_stack"): Lack("registers models by an operation that is not served", ("POST /v1/models",)),
    ("model", "inference"): Lack("gets its models from trainings, and has no operation to make one"),
    ("dataset", "clearml"): _DATA_IS_TASKS,
    ("dataset", "mlflow"): _INPUTS,
    ("dataset", "inference"): _CONNECTORS,
    ("interaction", "clearml"): _NO_CALLS,
    ("interaction", "mlflow"): _GATEWAY,
}
CANNOT_READ: dict[tuple[str, str], Lack] = {
    ("project", "llama_stack"): _NO_PROJECTS,
    ("project", "inference"): _NO_PROJECTS,
    ("dataset", "clearml"): _DATA_IS_TASKS,
    ("dataset", "mlflow"): _INPUTS,
    ("dataset", "inference"): _CONNECTORS,
    ("interaction", "clearml"): _NO_CALLS,
    ("interaction", "domino"): Lack("shows no single call; their sum is its cost, which test_sums.py reads"),
    ("interaction", "mlflow"): _GATEWAY,
}

_TRAININGS = "lists trainings that the server carries out; this run is carried out by its own client"
_CALLABLE = "lists models that can be called; this one has no weights that the server could load"

NOT_SHOWN: dict[tuple[str, str, str], str] = {
    **{("run", maker, reader): _TRAININGS for maker in ("clearml", "mlflow") for reader in ("llama_stack", "inference")},
    **{
        ("model", maker, reader): _CALLABLE
        for maker in ("clearml", "domino", "mlflow") for reader in ("llama_stack", "inference")
    },
}  # fmt: skip
"""(noun, made through, read through): pairs where both know the noun, and this kind of it is not shown."""

PAIRS = [(noun, maker, reader) for noun in MAKERS for maker in MAKERS[noun] for reader in READERS[noun]]


@pytest.mark.parametrize(("noun", "maker", "reader"), [pair for pair in PAIRS if pair not in NOT_SHOWN])
def test_what_one_dialect_makes_another_reads(world: World, noun: str, maker: str, reader: str) -> None:
    made: Thing = MAKERS[noun][maker](world)
    assert READERS[noun][reader](world, made) == made


@pytest.mark.parametrize(("noun", "maker", "reader"), NOT_SHOWN)
def test_what_is_not_shown_is_still_not_shown(world: World, noun: str, maker: str, reader: str) -> None:
    """An entry of the list that has become wrong fails here."""
    made = MAKERS[noun][maker](world)
    with pytest.raises(AssertionError, match=r"is not listed|404"):
        READERS[noun][reader](world, made)


@pytest.mark.parametrize("noun", MAKERS)
def test_every_dialect_makes_and_reads_or_is_listed_with_the_reason(noun: str) -> None:
    for able, listed in ((MAKERS, CANNOT_MAKE), (READERS, CANNOT_READ)):
        can = {d for d in able[noun] if (noun, d) not in BESIDE}
        cannot = {dialect for known, dialect in listed if known == noun}
        assert can | cannot == set(DIALECTS)
        assert not can & cannot


def test_no_lack_waits_for_an_operation_that_is_served() -> None:
    bound = {operation.id: operation.bound for operation in OPERATIONS}
    for lack in (*CANNOT_MAKE.values(), *CANNOT_READ.values()):
        for operation in lack.waits_for:
            assert bound[operation] is False, f"{operation} is served now: {lack.why}"


def test_every_pair_that_is_not_shown_is_a_pair() -> None:
    assert set(NOT_SHOWN) <= set(PAIRS)
