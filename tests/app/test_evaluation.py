"""Benchmarks, evaluations, graders and leaderboards through their use cases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quintet.app import leftovers
from quintet.app.core import Core
from quintet.app.datasets import fill
from quintet.app.datasets.manage import CreateDataset, create_dataset
from quintet.app.evaluation import benchmarks, evaluate, graders
from quintet.app.evaluation.benchmarks import CreateBenchmark
from quintet.app.evaluation.evaluate import RecordResult, Scores, StartEvaluation
from quintet.app.evaluation.graders import SCORING_FUNCTION, CreateGrader
from quintet.app.evaluation.leaderboard import Direction, Leaderboard, leaderboard
from quintet.app.models import versions
from quintet.app.models.versions import RegisterVersion
from quintet.app.runs import parts, state
from quintet.app.runs.parts import NewCheckpoint
from quintet.app.runs.read import get_run
from quintet.blobs import open_blobs
from quintet.domain.errors import Conflict, Forbidden, Invalid, NotFound, Precondition
from quintet.domain.evaluation import Evaluation
from quintet.domain.ids import Kind, new_id, to_uuid
from quintet.domain.models import Deployment
from quintet.domain.page import PageRequest
from quintet.domain.runs import RunKind, RunState
from quintet.domain.scoring import DEFAULT_AGGREGATIONS
from quintet.recipes.evaluate import EvaluateConfig
from quintet.recipes.schema import parse_config
from quintet.storage import deployments
from quintet.storage.database import Database
from quintet.storage.evaluation import EvaluationFilter
from tests.support.factories import NOW, World, make_ports, make_run, make_world


@pytest.fixture
def core(db: Database, tmp_path: Path) -> Iterator[Core]:
    made = Core(db, make_ports(open_blobs(tmp_path / "blobs", durable=False)))
    with ThreadPoolExecutor(1) as threads:
        made.listen(leftovers.listener(made.ports, threads, grace_seconds=0))
        yield made


@pytest.fixture
def world(db: Database) -> World:
    return make_world(db)


def _benchmark(core: Core, world: World, key: str = "b", **fields: Any) -> Any:
    """A benchmark with a dataset, unless `fields` say otherwise."""
    if "dataset" not in fields:
        fields["dataset"] = core.write_now(world.actor, create_dataset, CreateDataset("d")).id
    return core.write_now(world.actor, benchmarks.create_benchmark, CreateBenchmark(key, key, **fields))


def _start(core: Core, world: World, benchmark: str = "b", **fields: Any) -> Any:
    """Starts an evaluation of a model of its own, unless `fields` say otherwise."""
    if "model" not in fields:
        core.write_now(world.actor, versions.register_version, RegisterVersion("some-model"))
    cmd = StartEvaluation(benchmark, **{"model": "some-model", **fields})
    return core.write_now(world.actor, evaluate.start_evaluation, cmd)


def _result(core: Core, world: World, benchmark: str, model: str, **metrics: float) -> Evaluation:
    cmd = RecordResult(benchmark, Scores(metrics=metrics), model=model)
    return evaluate.record_result(core, world.actor, cmd)


# -- benchmarks and graders -----------------------------------------------------------------------------------


def test_the_same_benchmark_may_be_registered_twice_but_not_another(core: Core, world: World) -> None:
    rows = [{"question": "q", "answer": "a"}]
    dataset, _ = fill.create_with_rows(core, world.actor, CreateDataset("d", key="ds"), rows)
    cmd = {"dataset": "ds", "scoring": ("basic::equality",), "metadata": {"x": 1}}
    made = _benchmark(core, world, **cmd)
    assert (made.dataset_id, made.scoring) == (dataset.id, ("basic::equality",))
    assert _benchmark(core, world, **cmd) == made
    for other in ({**cmd, "scoring": ()}, {**cmd, "dataset": None}, {**cmd, "metadata": {"x": 2}}):
        with pytest.raises(Conflict):
            _benchmark(core, world, **other)
    with pytest.raises(NotFound):
        _benchmark(core, world, "c", dataset="absent")
    for ref in (made.id, to_uuid(made.id, Kind.BENCHMARK), "b"):
        assert core.read_now(world.actor, benchmarks.find_benchmark, ref) == made


def test_a_benchmark_changes_field_by_field_and_goes_with_its_evaluations(core: Core, world: World) -> None:
    made = _benchmark(core, world)
    done = _result(core, world, "b", "m", accuracy=1.0)
    changed = core.write_now(world.actor, benchmarks.edit_benchmark, "b", {"name": "N", "scoring": ["a", "a"]})
    assert (changed.name, changed.scoring, changed.key) == ("N", ("a",), "b")
    for changes in ({"key": "x"}, {"name": ""}):
        with pytest.raises(Invalid):
            core.write_now(world.actor, benchmarks.edit_benchmark, "b", changes)
    core.write_now(world.actor, benchmarks.delete_benchmark, made.id)
    with pytest.raises(NotFound):
        core.read_now(world.actor, evaluate.find_evaluation, done.id)


def test_another_space_and_a_reader_are_kept_out(core: Core, world: World, db: Database) -> None:
    _benchmark(core, world)
    evaluation, _ = _start(core, world)
    other = make_world(db).actor
    for use_case, ref in ((benchmarks.find_benchmark, "b"), (evaluate.find_evaluation, evaluation.id)):
        with pytest.raises(NotFound):
            core.read_now(other, use_case, ref)  # type: ignore[arg-type]
    assert core.read_now(other, evaluate.list_evaluations).items == []
    assert core.read_now(other, leaderboard, Leaderboard()) == []
    reader = world.as_role("read-only")
    with pytest.raises(Forbidden):
        core.write_now(reader, benchmarks.create_benchmark, CreateBenchmark("x"))
    with pytest.raises(Forbidden):
        core.write_now(reader, evaluate.start_evaluation, StartEvaluation("b", "m"))
    with pytest.raises(Forbidden):
        evaluate.record_scores(core, reader, evaluation.id, Scores({"a": 1.0}))


def test_a_project_grader_hides_the_spaces_own_and_a_lock_holds(core: Core, world: World) -> None:
    make = lambda **f: core.write_now(world.actor, graders.create_grader, CreateGrader("G", "judge", "g", **f))  # noqa: E731
    own = make(project_id=world.project.id, config={"criteria": "c"})
    common = make(again=True)
    assert make(again=True) == common
    with pytest.raises(Conflict):
        make(config={"x": 1}, again=True)
    find = lambda *a: core.read_now(world.actor, graders.find_grader, *a)  # noqa: E731
    assert (find("g", world.project.id), find("g"), find(to_uuid(own.id, Kind.GRADER))) == (own, common, own)
    assert core.read_now(world.actor, graders.list_graders, world.project.id) == [own, common]
    core.write_now(world.actor, graders.lock_grader, own.id)
    with pytest.raises(Precondition):
        core.write_now(world.actor, graders.edit_grader, own.id, {"config": {}})
    core.write_now(world.actor, graders.lock_grader, own.id, False)
    assert core.write_now(world.actor, graders.edit_grader, own.id, {"config": {}}).config == {}
    core.write_now(world.actor, graders.delete_grader, own.id)
    assert find("g", world.project.id) == common


def test_scoring_functions_are_the_built_in_ones_and_those_registered(core: Core, world: World) -> None:
    params = {"judge_model": "m", "aggregation_functions": ["average"]}
    cmd = CreateGrader(
        "Mine", SCORING_FUNCTION, "me::mine", config={"description": "d", "params": params}, again=True
    )
    made = core.write_now(world.actor, graders.create_grader, cmd)
    core.write_now(world.actor, graders.create_grader, CreateGrader("Judge", "judge", "j"))
    found = core.read_now(world.actor, graders.scoring_functions)
    assert [f.key for f in found] == [*DEFAULT_AGGREGATIONS, "me::mine"]
    assert set(graders.BUILTIN_SCORING) == set(DEFAULT_AGGREGATIONS)
    mine = core.read_now(world.actor, graders.find_scoring_function, "me::mine")
    assert (mine.grader, mine.params, mine.aggregations) == (made, params, ("average",))
    assert core.read_now(world.actor, graders.find_scoring_function, "basic::equality").aggregations == ("accuracy",)
    for key in ("j", "absent"):
        with pytest.raises(NotFound):
            core.read_now(world.actor, graders.find_scoring_function, key)


# -- evaluations ----------------------------------------------------------------------------------------------


def test_an_evaluation_is_numbered_queued_and_told_what_to_do(core: Core, world: World) -> None:
    benchmark = _benchmark(core, world, scoring=("basic::equality",))
    core.write_now(world.actor, versions.register_version, RegisterVersion("The Llama"))
    sampling = {"temperature": 0.0, "max_tokens": 5, "strategy": {"type": "greedy"}}
    first, run = _start(core, world, model="The Llama", num_examples=5, sampling=sampling)
    second, _ = _start(core, world, model="the-llama", version=1)
    assert (first.number, second.number, first.status, first.model_version) == (0, 1, "pending", 1)
    assert first.config == {"model": "The Llama"}
    assert (run.kind, run.recipe, run.state) == (RunKind.EVALUATE, "evaluate", RunState.QUEUED)
    assert run.args == {
        "evaluation": first.id, "model": "the-llama", "version": 1, "dataset": benchmark.dataset_id,
        "scoring_functions": ["basic::equality"], "scoring_params": {}, "num_examples": 5, "temperature": 0.0,
        "max_tokens": 5,
    }  # fmt: skip
    assert parse_config(EvaluateConfig, run.args).num_examples == 5
    assert core.read_now(world.actor, evaluate.numbered_evaluation, "b", 1) == second
    with pytest.raises(NotFound):
        core.read_now(world.actor, evaluate.numbered_evaluation, "b", 2)


def test_a_deployment_is_evaluated_by_the_model_and_version_it_serves(
    core: Core, world: World, db: Database
) -> None:
    _benchmark(core, world)
    for _ in range(2):
        model, _version = core.write_now(world.actor, versions.register_version, RegisterVersion("m"))
    served = Deployment(
        new_id(), world.space_id, world.project.id, "chat", "Chat", "transformers", NOW, NOW, world.actor.user_id,
        model_id=model.id, version=1,
    )  # fmt: skip
    upstream = replace(served, id=new_id(), key="gpt", model_id=None, version=None)
    for deployment in (served, upstream):
        db.write(lambda tx, d=deployment: deployments.insert_deployment(tx, d))
    for ref in ("chat", f"{world.project.key}/chat"):
        evaluation, run = _start(core, world, model=ref)
        assert (evaluation.model_id, evaluation.model_version, run.args["model"]) == (model.id, 1, "m")
    with pytest.raises(NotFound):
        _start(core, world, model="gpt")


def test_another_recipe_gets_arguments_of_its_own(core: Core, world: World) -> None:
    _benchmark(core, world, dataset=None)
    evaluation, run = _start(core, world, model="anything", recipe="mine", extra={"folds": 5})
    assert (run.recipe, run.args) == ("mine", {"evaluation": evaluation.id, "folds": 5})
    with pytest.raises(Precondition):
        _start(core, world)


def test_what_cannot_be_evaluated_starts_nothing(core: Core, world: World) -> None:
    _benchmark(core, world)
    core.write_now(world.actor, versions.register_version, RegisterVersion("llama"))
    with pytest.raises(NotFound):
        _start(core, world, "absent")
    with pytest.raises(NotFound):
        _start(core, world, model="llama", version=9)
    with pytest.raises(NotFound):
        _start(core, world, model="llama", checkpoint_id="0" * 24)
    with pytest.raises(Invalid):
        _start(core, world, model="")
    with pytest.raises(Invalid):
        _start(core, world, num_examples=0)
    assert core.read_now(world.actor, evaluate.list_evaluations, count=True).total == 0


def test_many_evaluations_at_once_get_numbers_of_their_own(core: Core, world: World) -> None:
    _benchmark(core, world)
    with ThreadPoolExecutor(6) as threads:
        made = list(threads.map(lambda _: _start(core, world)[0].number, range(12)))
    assert sorted(made) == list(range(12))


def test_status_follows_the_run_until_there_are_scores(core: Core, world: World) -> None:
    _benchmark(core, world)

    def status(ident: str) -> tuple[str, str]:
        found = core.read_now(world.actor, evaluate.find_evaluation, ident)
        return found.status, found.error

    one, run = _start(core, world)
    assert status(one.id) == ("pending", "")
    core.write_now(world.actor, state.start_run, run.id)
    assert status(one.id) == ("running", "")
    core.write_now(world.actor, state.fail_run, run.id, message="out of memory")
    assert status(one.id) == ("failed", "out of memory")
    two, other = _start(core, world)
    core.write_now(world.actor, state.start_run, other.id)
    core.write_now(world.actor, state.complete_run, other.id)
    assert status(two.id) == ("failed", "its run ended without scores")
    token = replace(world.as_role("worker"), run_id=other.id)
    done = evaluate.record_scores(core, token, two.id, Scores({"accuracy": 1}, {"scores": {}}, 3))
    assert (done.status, done.metrics, done.rows) == ("completed", {"accuracy": 1.0}, 3)
    assert status(two.id) == ("completed", "")
    with pytest.raises(Forbidden):
        evaluate.record_scores(core, token, one.id, Scores({"accuracy": 1}))
    elsewhere = _result(core, world, "b", "m", accuracy=0.5)
    with pytest.raises(Forbidden):
        evaluate.record_scores(core, token, elsewhere.id, Scores({"accuracy": 1}))


def test_cancelling_stops_the_run(core: Core, world: World) -> None:
    _benchmark(core, world)
    evaluation, run = _start(core, world)
    assert core.write_now(world.actor, evaluate.cancel_evaluation, evaluation.id).status == "cancelled"
    assert core.read_now(world.actor, get_run, run.id).state is RunState.STOPPED
    with pytest.raises(Precondition):
        core.write_now(world.actor, evaluate.cancel_evaluation, evaluation.id)


def test_a_large_result_lies_in_a_blob_and_is_replaced_with_it(core: Core, world: World) -> None:
    _benchmark(core, world)
    big = {"generations": [{"generated_answer": "x" * 1000}] * 400}
    evaluation, _ = _start(core, world)
    done = evaluate.record_scores(core, world.actor, evaluation.id, Scores({"a": 0.5}, big))
    assert done.result == {}
    assert done.result_blob is not None
    assert evaluate.load_result(core.ports, done) == big
    again = evaluate.record_scores(core, world.actor, evaluation.id, Scores({"a": 0.6}, {"small": 1}))
    assert evaluate.load_result(core.ports, again) == {"small": 1}
    assert core.read_now(world.actor, evaluate.find_evaluation, evaluation.id) == again


def test_scores_that_are_refused_leave_nothing(core: Core, world: World) -> None:
    _benchmark(core, world)
    big = {"x": "y" * 400_000}
    for scores, error in ((Scores({"a": float("inf")}, big), Invalid), (Scores({}, {"x": float("nan")}), Invalid)):
        with pytest.raises(error):
            evaluate.record_result(core, world.actor, RecordResult("b", scores, model="m"))
    with pytest.raises(NotFound):
        evaluate.record_result(core, world.actor, RecordResult("absent", Scores({}, big), model="m"))
    assert list(core.ports.blobs.list("")) == []
    assert core.read_now(world.actor, evaluate.list_evaluations).items == []


def test_evaluations_are_listed_by_what_they_measured(core: Core, world: World) -> None:
    for key in ("b", "c"):
        _benchmark(core, world, key)
    core.write_now(world.actor, versions.register_version, RegisterVersion("llama"))
    a = _result(core, world, "b", "llama", accuracy=0.5)
    b, run = _start(core, world, "c", model="llama")
    c, _ = _start(core, world, "c")
    find = lambda f, **k: [e.id for e in core.read_now(world.actor, evaluate.list_evaluations, f, **k).items]  # noqa: E731
    assert find(EvaluationFilter(model_ids=(a.model_id,))) == [a.id, b.id]  # type: ignore[arg-type]
    assert find(EvaluationFilter(benchmark_ids=(b.benchmark_id,)), descending=True) == [c.id, b.id]
    assert find(EvaluationFilter(run_ids=(run.id,))) == [b.id]
    assert find(EvaluationFilter(scored=True)) == [a.id]
    assert find(None, page=PageRequest(limit=1, offset=1)) == [b.id]


# -- leaderboards ---------------------------------------------------------------------------------------------


def test_a_leaderboard_ranks_the_latest_scores_with_ties_and_gaps(core: Core, world: World) -> None:
    for key in ("b", "c"):
        _benchmark(core, world, key)
    _result(core, world, "b", "one", accuracy=0.1)
    _result(core, world, "b", "one", accuracy=0.9)
    _result(core, world, "c", "one", accuracy=0.5)
    _result(core, world, "b", "two", accuracy=0.7)
    _result(core, world, "b", "three", accuracy=0.6)
    _result(core, world, "b", "none", other=5.0)
    _start(core, world)

    def board(**fields: Any) -> list[tuple[int, str, float | None]]:
        rows = core.read_now(world.actor, leaderboard, Leaderboard(**fields))
        return [(r.rank, r.name, r.score) for r in rows]

    assert board(metric="accuracy") == [(1, "one", 0.7), (1, "two", 0.7), (3, "three", 0.6), (4, "none", None)]
    assert board(by_benchmark="b", metric="accuracy")[0] == (1, "one", 0.9)
    assert [n for _, n, _ in board(by_benchmark="b", metric="accuracy", direction=Direction.ASC)] == [
        "three", "two", "one", "none",
    ]  # fmt: skip
    assert board(benchmarks=("c",)) == [(1, "one", 0.5)]
    assert board(name="TH") == [(1, "three", 0.6)]
    assert board(benchmarks=()) == []
    with pytest.raises(Invalid):
        board(benchmarks=("c",), by_benchmark="b")


def test_rows_of_checkpoints_and_versions_name_their_training(core: Core, world: World, db: Database) -> None:
    _benchmark(core, world, detail={"metrics": ["ks", "gini"]})
    run, other = make_run(db, world), make_run(db, world)
    saved = core.write_now(world.actor, parts.add_checkpoint, run.id, NewCheckpoint("step-10", 10))
    core.write_now(world.actor, versions.register_version, RegisterVersion("m", run_id=other.id))
    record = lambda **f: evaluate.record_result(core, world.actor, RecordResult("b", **f))  # noqa: E731
    record(scores=Scores({"gini": 0.1, "ks": 0.3}), checkpoint_id=saved.id)
    record(scores=Scores({"gini": 0.9, "ks": 0.2}), model="m")
    rows = core.read_now(world.actor, leaderboard, Leaderboard())
    assert [(r.name, r.training_id, r.version, r.score) for r in rows] == [
        ("step-10", run.id, None, 0.3), ("m", other.id, 1, 0.2),
    ]  # fmt: skip
    assert rows[0].results[0].metrics == {"gini": 0.1, "ks": 0.3}
    rows = core.read_now(world.actor, leaderboard, Leaderboard(training_ids=(other.id,), metric="gini"))
    assert [(r.rank, r.name, r.score) for r in rows] == [(1, "m", 0.9)]
