"""Scoring functions, and scores of rows that have their answers already."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from quintet.app.evaluation import inline
from quintet.app.evaluation.graders import ScoringFunction, find_scoring_function, scoring_functions
from quintet.app.evaluation.jobs import check_scoring
from quintet.dialects.kit.call import Call
from quintet.dialects.llama_stack.binder import DIALECT, binder

JUDGE = "llm-as-judge"


class ScoreRequest(Struct):
    """`scoring_functions` are parameters, or null, by function."""

    input_rows: list[dict[str, Any]]
    scoring_functions: dict[str, dict[str, Any] | None]


@binder.op("GET /v1/scoring-functions")
async def list_all(call: Call) -> dict[str, Any]:
    return {"data": [from_function(f) for f in await call.read(scoring_functions)]}


@binder.op("GET /v1/scoring-functions/{scoring_fn_id}")
async def retrieve(call: Call) -> dict[str, Any]:
    return from_function(await call.read(find_scoring_function, call.path["scoring_fn_id"]))


@binder.op("POST /v1/scoring/score", body=ScoreRequest)
async def score(call: Call) -> dict[str, Any]:
    body: ScoreRequest = call.body
    functions = list(body.scoring_functions)
    await call.read(check_scoring, functions)
    found = await inline.score(call.core, call.actor, body.input_rows, functions, body.scoring_functions, DIALECT)
    return {"results": found}


def from_function(item: ScoringFunction) -> dict[str, Any]:
    provider = item.key.partition("::")[0] if "::" in item.key else "basic"
    judges = provider == JUDGE
    params: dict[str, Any] = {
        "type": "llm_as_judge" if judges else "regex_parser" if "regex_parser" in item.key else "basic",
        **item.params,
        "aggregation_functions": list(item.aggregations),
    }
    return {
        "identifier": item.key,
        "provider_id": provider,
        "provider_resource_id": item.key,
        "type": "scoring_function",
        "description": item.description,
        "metadata": {},
        "return_type": {"type": "string" if judges else "number"},
        "params": params,
    }
