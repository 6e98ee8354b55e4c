"""Start evaluations, take their scores, and look at them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from quintet.app import leftovers
from quintet.app.authz import authorize, authorize_run
from quintet.app.context import Ctx, Effect, Ports
from quintet.app.core import Core
from quintet.app.evaluation.benchmarks import find_benchmark
from quintet.app.leftovers import leave
from quintet.app.models.registry import look_up as look_up_model
from quintet.app.queues.entries import submit_run
from quintet.app.runs.create import CreateRun, create_run
from quintet.app.runs.state import request_stop, start_run
from quintet.domain.errors import Forbidden, Invalid, NotFound, Precondition
from quintet.domain.evaluation import Benchmark, Evaluation, EvaluationStatus
from quintet.domain.identity import Actor, Permission
from quintet.domain.ids import Id, Kind, from_uuid, new_id, parse_id
from quintet.domain.models import Model
from quintet.domain.page import Page, PageRequest
from quintet.domain.runs import Run, RunKind
from quintet.storage import deployments as deployment_store
from quintet.storage import evaluation as store
from quintet.storage import models as model_store
from quintet.storage import projects as project_store
from quintet.storage import runs as run_store
from quintet.storage.evaluation import EvaluationFilter as EvaluationFilter
from quintet.storage.tx import ReadTx, WriteTx

INLINE_BYTES = 256 * 1024
"""The largest result that lies in its row; larger ones go to the blob store, so that lists stay quick."""

RECIPE = "evaluate"
SAMPLING = frozenset({"max_tokens", "temperature", "top_p", "seed", "system_message", "batch_size"})


@dataclass(frozen=True, slots=True)
class StartEvaluation:
    """`benchmark` on a model: a registered one, or a deployment of one. A version or a checkpoint narrows it.

    Of `sampling` the built-in recipe takes `SAMPLING`; `scoring_params` are by scoring function. `config` is
    kept for the dialect that asked. Another `recipe` gets the id of the evaluation and `extra`, its own arguments;
    without one (None) no worker is asked: the run is running, and whoever started it carries it out.
    """

    benchmark: str
    model: str = ""
    version: int | None = None
    checkpoint_id: Id | None = None
    num_examples: int | None = None
    scoring: tuple[str, ...] | None = None
    scoring_params: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    recipe: str | None = RECIPE
    project_id: Id | None = None
    parent_id: Id | None = None
    queue: str | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """What an evaluation found: `metrics` to rank by, `result` whole, from `rows` rows."""

    metrics: dict[str, float] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    rows: int = 0
    result_blob: str | None = None


def start_evaluation(ctx: Ctx[WriteTx], cmd: StartEvaluation) -> tuple[Evaluation, Run]:
    """The evaluation, and the run that will carry it out. NotFound for an unknown benchmark, model
    version or checkpoint; Invalid where nothing says what to evaluate."""
    authorize(ctx, Permission.RUN_WRITE)
    if cmd.num_examples is not None and cmd.num_examples < 1:
        raise Invalid("'num_examples' is at least 1", field="num_examples")
    benchmark = find_benchmark(ctx, cmd.benchmark)
    subject = _subject(ctx, cmd.model, cmd.version, cmd.checkpoint_id)
    evaluation = _new(ctx, benchmark, subject, {**cmd.config, **({"model": cmd.model} if cmd.model else {})})
    new = CreateRun(
        name=f"{benchmark.name} on {subject.name}"[:1_000], kind=RunKind.EVALUATE, type="testing",
        project_id=cmd.project_id, parent_id=cmd.parent_id, recipe=cmd.recipe,
        args={**_arguments(cmd, benchmark, subject), **cmd.extra, "evaluation": evaluation.id},
    )  # fmt: skip
    run = start_run(ctx, create_run(ctx, new).id) if cmd.recipe is None else submit_run(ctx, new, cmd.queue)
    evaluation = replace(evaluation, run_id=run.id)
    store.insert_evaluation(ctx.tx, evaluation)
    ctx.after_commit(Effect("evaluation", evaluation.id))
    return evaluation, run


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is evaluated: `name` is for people, `key` what the registry calls the model."""

    name: str
    model_id: Id | None = None
    key: str = ""
    version: int | None = None
    checkpoint_id: Id | None = None


def _arguments(cmd: StartEvaluation, benchmark: Benchmark, subject: _Subject) -> dict[str, Any]:
    """What the built-in recipe is told; a recipe of somebody else's has arguments of its own."""
    if cmd.recipe != RECIPE:
        return {}
    if subject.model_id is None:
        raise NotFound.of("model", subject.name)
    if benchmark.dataset_id is None:
        raise Precondition(f"the benchmark '{benchmark.key}' has no dataset", field="dataset", benchmark=benchmark.id)
    scoring = benchmark.scoring if cmd.scoring is None else cmd.scoring
    given = {
        "model": subject.key, "version": subject.version, "dataset": benchmark.dataset_id,
        "scoring_functions": list(scoring) or None, "scoring_params": cmd.scoring_params,
        "num_examples": cmd.num_examples, **{k: v for k, v in cmd.sampling.items() if k in SAMPLING},
    }  # fmt: skip
    return {k: v for k, v in given.items() if v is not None}


def _subject(ctx: Ctx[ReadTx], ref: str, version: int | None, checkpoint_id: Id | None) -> _Subject:
    space = ctx.actor.space_id
    checkpoint = run_store.find_checkpoint(ctx.tx, space, checkpoint_id) if checkpoint_id is not None else None
    if checkpoint_id is not None and checkpoint is None:
        raise NotFound(f"checkpoint '{checkpoint_id}' was not found", field="checkpoint", kind="checkpoint")
    model = look_up_model(ctx.tx, space, ref) if ref else None
    if model is None and ref:
        model, version = _deployed(ctx, ref, version)
    if model is None and checkpoint is not None and checkpoint.model_id is not None:
        model = model_store.get(ctx.tx, space, checkpoint.model_id)
    if model is not None and version is None and checkpoint is None:
        version = model.latest_version or None
    if version is not None and (model is None or model_store.get_version(ctx.tx, model.id, version) is None):
        raise NotFound(f"version {version} of '{ref}' was not found", field="version", kind="version", id=str(version))
    name = ref or (checkpoint.name if checkpoint else "")
    if not name:
        raise Invalid("give a model or a checkpoint to evaluate", field="model")
    return _Subject(name, model.id if model else None, model.key if model else "", version, checkpoint_id)


def _deployed(ctx: Ctx[ReadTx], ref: str, version: int | None) -> tuple[Model | None, int | None]:
    """The registered model behind `deployment` or `project/deployment`, and the version that is served."""
    head, _, tail = ref.partition("/")
    project = project_store.by_key(ctx.tx, ctx.actor.space_id, head) if tail else None
    found = deployment_store.list_deployments(
        ctx.tx, ctx.actor.space_id, key=tail if project else ref, project_id=project.id if project else None
    )
    for deployment in found:
        model = model_store.get(ctx.tx, ctx.actor.space_id, deployment.model_id) if deployment.model_id else None
        if model is not None:
            return model, version or deployment.version
    return None, version


def _new(ctx: Ctx[WriteTx], benchmark: Benchmark, subject: _Subject, config: dict[str, Any]) -> Evaluation:
    return Evaluation(
        id=new_id(), space_id=ctx.actor.space_id, benchmark_id=benchmark.id,
        number=store.next_number(ctx.tx, benchmark.id), created_at=ctx.now, created_by=ctx.actor.user_id,
        model_id=subject.model_id, model_version=subject.version, checkpoint_id=subject.checkpoint_id, config=config,
    )  # fmt: skip


# -- scores -----------------------------------------------------------------------------------------------------


def prepare_scores(ports: Ports, scores: Scores) -> Scores:
    """Checks scores, and moves a large result into a blob. Writes to the store: not in a transaction."""
    for name, value in scores.metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise Invalid(f"the metric '{name}' is not a finite number", field="metrics")
    try:
        text = json.dumps(scores.result, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise Invalid(f"the result cannot be stored as JSON: {error}", field="result") from error
    if len(text) <= INLINE_BYTES:
        return scores
    key = f"evaluations/{new_id()}.json"
    ports.blobs.put(key, text)
    return replace(scores, result={}, result_blob=key)


def store_scores(ctx: Ctx[WriteTx], ref: str, scores: Scores) -> Evaluation:
    """Completes an evaluation with prepared scores; a run that was tried again replaces what it found before."""
    evaluation = find_evaluation(ctx, ref)
    if evaluation.run_id is None and ctx.actor.run_id is not None:
        raise Forbidden("this evaluation is of no run, so no run's token may score it")
    authorize(ctx, Permission.RUN_WRITE)
    if evaluation.run_id is not None:
        authorize_run(ctx, evaluation.run_id)
    return _complete(ctx, evaluation, scores)


def _complete(ctx: Ctx[WriteTx], evaluation: Evaluation, scores: Scores) -> Evaluation:
    if evaluation.result_blob is not None and evaluation.result_blob != scores.result_blob:
        leave(ctx, keys=[evaluation.result_blob], grace=True)
    done = replace(
        evaluation, status=EvaluationStatus.COMPLETED.value, error="", finished_at=ctx.now, rows=scores.rows,
        metrics={k: float(v) for k, v in scores.metrics.items()}, result=scores.result, result_blob=scores.result_blob,
    )  # fmt: skip
    store.save_evaluation(ctx.tx, done)
    ctx.after_commit(Effect("evaluation", done.id, {"status": done.status}))
    return done


def record_scores(core: Core, actor: Actor, ref: str, scores: Scores) -> Evaluation:
    """`store_scores` with its preparation; blocks, for worker threads."""
    prepared = prepare_scores(core.ports, scores)
    try:
        return core.write_now(actor, store_scores, ref, prepared)
    except BaseException:
        _drop(core, prepared)
        raise


@dataclass(frozen=True, slots=True)
class RecordResult:
    """An evaluation whose scores were computed elsewhere, in the request that brings them."""

    benchmark: str
    scores: Scores
    model: str = ""
    version: int | None = None
    checkpoint_id: Id | None = None
    config: dict[str, Any] = field(default_factory=dict)


def store_result(ctx: Ctx[WriteTx], cmd: RecordResult) -> Evaluation:
    """A completed evaluation without a run, of prepared scores."""
    authorize(ctx, Permission.RUN_WRITE)
    benchmark = find_benchmark(ctx, cmd.benchmark)
    subject = _subject(ctx, cmd.model, cmd.version, cmd.checkpoint_id)
    made = _new(ctx, benchmark, subject, {**cmd.config, **({"model": cmd.model} if cmd.model else {})})
    store.insert_evaluation(ctx.tx, made)
    return _complete(ctx, made, cmd.scores)


def record_result(core: Core, actor: Actor, cmd: RecordResult) -> Evaluation:
    """`store_result` with its preparation; blocks, for worker threads."""
    prepared = prepare_scores(core.ports, cmd.scores)
    try:
        return core.write_now(actor, store_result, replace(cmd, scores=prepared))
    except BaseException:
        _drop(core, prepared)
        raise


def _drop(core: Core, prepared: Scores) -> None:
    if prepared.result_blob is not None:
        leftovers.remove(core.ports.blobs, keys=[prepared.result_blob])


def load_result(ports: Ports, evaluation: Evaluation) -> Mapping[str, Any]:
    """The whole result, wherever it lies. Asks the blob store for a large one."""
    if evaluation.result_blob is None:
        return evaluation.result
    loaded: dict[str, Any] = json.loads(ports.blobs.get(evaluation.result_blob))
    return loaded


# -- looking ------------------------------------------------------------------------------------------------------


def find_evaluation(ctx: Ctx[ReadTx], ref: str) -> Evaluation:
    """An evaluation by its id in any spelling; NotFound otherwise."""
    authorize(ctx, Permission.RUN_READ)
    for ident in (parse_id(ref), from_uuid(ref, Kind.EVALUATION)):
        if ident is not None and (found := store.get_evaluation(ctx.tx, ctx.actor.space_id, ident)) is not None:
            return found
    raise NotFound.of("evaluation", ref)


def numbered_evaluation(ctx: Ctx[ReadTx], benchmark: str, number: int) -> Evaluation:
    """The benchmark's evaluation of that number (from 0); NotFound otherwise."""
    owner = find_benchmark(ctx, benchmark)
    found = store.evaluation_by_number(ctx.tx, ctx.actor.space_id, owner.id, number)
    if found is None:
        raise NotFound.of("evaluation", number)
    return found


def list_evaluations(
    ctx: Ctx[ReadTx],
    wanted: EvaluationFilter | None = None,
    page: PageRequest | None = None,
    *,
    descending: bool = False,
    count: bool = False,
) -> Page[Evaluation]:
    """A page of evaluations, oldest first unless `descending`."""
    authorize(ctx, Permission.RUN_READ)
    return store.list_evaluations(
        ctx.tx, ctx.actor.space_id, wanted or EvaluationFilter(), page or PageRequest(),
        descending=descending, count=count,
    )  # fmt: skip


def cancel_evaluation(ctx: Ctx[WriteTx], ref: str) -> Evaluation:
    """Has the run of an evaluation stopped; Precondition where it has ended already."""
    evaluation = find_evaluation(ctx, ref)
    if evaluation.run_id is None or evaluation.finished_at is not None:
        raise Precondition(f"the evaluation is {evaluation.status}", evaluation=evaluation.id)
    request_stop(ctx, evaluation.run_id, reason="cancelled")
    return find_evaluation(ctx, evaluation.id)
