"""Evaluation: a model answers the rows of a dataset, and scoring functions say how well.

A row has a prompt (`chat_completion_input`, `messages`, `input_query`, `question` or `prompt`) and what was
expected (`expected_answer`, `answer` or `completion`, or else the assistant's turn that ends its messages).
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

from quintet.domain import aggregation, scoring
from quintet.domain.errors import Invalid
from quintet.recipes.context import RecipeContext
from quintet.recipes.declare import recipe
from quintet.recipes.schema import Field
from quintet.recipes.training import source_of
from quintet.trainers import answering
from quintet.trainers.rows import ANSWER_COLUMNS, Messages, prompt_of, text_of

JUDGED_AT_ONCE = 8
"""Calls to a judge in flight: enough to fill an engine's batch, few enough for a provider's limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig:
    """Arguments of the recipe `evaluate`."""

    model: Annotated[str, Field(description="The model to evaluate: its key, id or name.")]
    dataset: Annotated[str, Field(description="The dataset with prompts and expected answers.")]
    evaluation: Annotated[str | None, Field(description="Id of the evaluation that the scores belong to.")] = None
    version: Annotated[int | None, Field(description="Version of the model; the latest if none is given.", ge=1)] = None
    scoring_functions: Annotated[
        tuple[str, ...], Field(description="How to score: " + ", ".join(scoring.DEFAULT_AGGREGATIONS) + ".")
    ] = ("basic::equality",)
    scoring_params: Annotated[
        dict[str, dict[str, Any] | None], Field(description="Parameters of scoring functions, by their name.")
    ] = field(default_factory=dict)
    num_examples: Annotated[int | None, Field(description="Only the first rows; all if not given.", ge=1)] = None
    system_message: Annotated[str | None, Field(description="Put before every conversation that has none.")] = None
    max_tokens: Annotated[int | None, Field(description="Longest reply; none or 0: the context's end.", ge=0)] = 256
    temperature: Annotated[float, Field(description="0 always takes the likeliest token.", ge=0)] = 0.0
    top_p: Annotated[float, Field(description="Share of the likeliest tokens sampled from.", ge=0, le=1)] = 1.0
    batch_size: Annotated[int, Field(description="Rows answered at once.", ge=1)] = 32
    seed: Annotated[int, Field(description="Seed of sampling.", ge=0)] = 0


class Question(NamedTuple):
    """A row's conversation, and the row as scoring functions read it (still without the answer)."""

    prompt: Messages
    row: dict[str, Any]


@recipe(
    name="evaluate",
    config=EvaluateConfig,
    description="Lets a model answer the rows of a dataset and scores the answers.",
    stages=("read", "generate", "score"),
)
def main(ctx: RecipeContext, config: EvaluateConfig) -> None:
    for function in config.scoring_functions:  # a wrong one should not cost the answers first
        scoring.row_scorer(function, config.scoring_params.get(function), judge=lambda model, prompt: "")
        aggregation.aggregate(_aggregations(config, function), [])

    with ctx.stage("read") as stage:
        rows = enumerate(ctx.dataset_rows(config.dataset, config.num_examples))
        questions = [question(row, number, config.system_message) for number, row in rows]
        if not questions:
            raise Invalid(f"the dataset '{config.dataset}' has no rows", field="dataset")
        stage.set(len(questions), len(questions))
        model = ctx.load_model_folder(config.model, config.version)

    answers = [""] * len(questions)
    with ctx.stage("generate", total=len(questions)) as stage:
        sampling = answering.Sampling(config.max_tokens or None, config.temperature, config.top_p, config.seed)
        prompts = [q.prompt for q in questions]
        for batch in answering.answer(source_of(model), prompts, sampling, config.batch_size):
            for number, text in batch:
                answers[number] = text
            stage.advance(len(batch))

    answered = [{**q.row, "generated_answer": text} for q, text in zip(questions, answers, strict=True)]
    scores: dict[str, dict[str, Any]] = {}
    with ctx.stage("score", total=len(config.scoring_functions)) as stage:
        for function in config.scoring_functions:
            scores[function] = _scored(ctx, config, function, answered)
            stage.advance()
    metrics = aggregation.metrics_of(scores)
    for name, value in metrics.items():
        ctx.metric("evaluation", name, value, 0)
    body = {
        "generations": [{"generated_answer": text} for text in answers],
        "scores": scores,
        "metrics": metrics,
        "rows": len(answers),
    }
    if config.evaluation is not None:
        ctx.client.scores({"evaluation": config.evaluation, **body})
    ctx.result({"metrics": metrics, "rows": len(answers), "model": {"key": model.key, "version": model.version}})
    ctx.say(f"{len(answers)} rows: " + ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))


def question(row: Mapping[str, Any], number: int = 0, system_message: str | None = None) -> Question:
    """What a row asks, and what it expects; Invalid where it asks nothing."""
    prompt = prompt_of(row, number)
    expected = next((row[name] for name in ANSWER_COLUMNS if row.get(name) is not None), None)
    if expected is None and len(prompt) > 1 and prompt[-1]["role"] == "assistant":
        expected = prompt[-1]["content"]
        prompt = prompt[:-1]
    asked = row.get("input_query")
    if asked is None:
        asked = next((text_of(m["content"]) for m in reversed(prompt) if m["role"] == "user"), "")
    if system_message and prompt[0]["role"] != "system":
        prompt = [{"role": "system", "content": system_message}, *prompt]
    return Question(
        prompt,
        {
            "input_query": asked,
            "expected_answer": "" if expected is None else text_of(expected),
            **({"context": row["context"]} if row.get("context") is not None else {}),
        },
    )


def _scored(
    ctx: RecipeContext, config: EvaluateConfig, function: str, answered: list[dict[str, Any]]
) -> dict[str, Any]:
    def judge(model: str, prompt: str) -> str:
        return ctx.complete(model, [{"role": "user", "content": prompt}], temperature=0.0).text

    params = config.scoring_params.get(function)
    scorer = scoring.row_scorer(function, params, judge)
    with ThreadPoolExecutor(JUDGED_AT_ONCE, thread_name_prefix="quintet-judge") as pool:
        rows = list(pool.map(scorer, answered))
    return {"score_rows": rows, "aggregated_results": aggregation.aggregate(_aggregations(config, function), rows)}


def _aggregations(config: EvaluateConfig, function: str) -> tuple[str, ...]:
    return scoring.aggregations_of(function, config.scoring_params.get(function))
