"""Builds two datasets from the interactions (GraphQL), and reads their rows through llama-stack-client."""

import json
import urllib.request
from typing import Any

from adaptive_sdk import Adaptive
from llama_stack_client import LlamaStackClient
from protocol import arguments, result

MUTATION = """
mutation Build($input: DatasetCreateFromFilters!) {
  createDatasetFromFilters(input: $input) { id key kind records metricsUsage { feedbackCount metric { key } } }
}
"""


def build(given: dict[str, Any], key: str, kind: str, filters: dict[str, Any], metrics: list[str]) -> dict[str, Any]:
    """The SDK has no method for this mutation, so it is posted as any GraphQL client would."""
    variables = {
        "useCase": "dates",
        "name": key,
        "key": key,
        "kind": kind,
        "metrics": metrics,
        "completionQuery": {"fromFilters": {"filters": {"useCase": "dates", **filters}, "exclude": []}},
    }
    body = {"query": MUTATION, "operationName": "Build", "variables": {"input": variables}}
    request = urllib.request.Request(
        f"{given['url']}/api/graphql", json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {given['key']}"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=90) as reply:
        answer = json.load(reply)
    if answer.get("errors"):
        raise SystemExit(f"{key}: {answer['errors'][0]['message']}")
    made: dict[str, Any] = answer["data"]["createDatasetFromFilters"]
    return made


def main() -> None:
    given = arguments()
    labels = [{"key": "by", "value": ["expert"]}]
    answers = build(given, "date-answers", "PROMPT_COMPLETION", {"labels": labels}, [])
    choices = build(given, "date-preferences", "PREFERENCE", {"comparisons": [{"metric": "preferred"}]}, ["preferred"])
    stack = LlamaStackClient(base_url=given["url"], api_key=given["key"])
    first = stack.datasets.iterrows("date-answers", limit=3)
    preferred = stack.datasets.iterrows("date-preferences", limit=2)
    seen = {d.key: d.records for d in Adaptive(given["url"], api_key=given["key"]).datasets.list(use_case="dates")}
    assert seen["date-answers"] == answers["records"]
    result({
        "answers": answers, "preferences": choices, "rows": first.data, "preference_rows": preferred.data,
        "has_more": first.has_more,
    })  # fmt: skip


if __name__ == "__main__":
    main()
