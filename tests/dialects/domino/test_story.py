"""What governance does in one sitting: tags, a review by a second person, cost by tag, and what crosses over."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from tests.dialects.domino.asking import ask, fresh, member, model_of, ok, project_of, refused, run_of
from tests.support.servers import ServerHandle

from quintet.app.billing.usage import tag_project
from quintet.app.context import Ctx, WriteTx
from quintet.app.datasets.manage import CreateDataset, create_dataset
from quintet.app.events.report import report_points
from quintet.app.runs.state import complete_run, start_run
from quintet.domain.ids import Id, Kind, new_id, to_hex32
from quintet.domain.interactions import Interaction
from quintet.domain.runs import Run
from quintet.domain.series import PointBatch
from quintet.storage import interactions as interaction_store
from quintet.storage import runs as run_store

HOUR = 3_600_000_000


def test_a_version_is_reviewed_by_a_second_person_and_staged(server: ServerHandle) -> None:
    run = run_of(server, project_of(server), params={"Args": {"lr": {"value": "0.1"}}})
    server.core.write_now(server.admin, report_points, run.id, PointBatch.of([("train", "loss", 3, 5_000, 0.5)]))
    name = model_of(server, run).name
    reviewer, key = member(server, "admin")
    path = f"/api/registeredmodels/v1/{name}"
    ok(server, "PATCH", path, {"description": "A small model", "discoverable": True})
    registered = ok(server, "GET", path)
    assert registered["description"] == "A small model"
    assert registered["project"]["id"] == run.project_id
    version = f"{path}/versions/{registered['latestVersion']}"

    asked = {"targetStage": "staging", "notes": "please look", "reviewers": [{"userId": reviewer.id}]}
    made = ok(server, "POST", f"{version}/reviews", asked, status=201)
    review = ok(server, "GET", version)["reviewSummary"]
    assert review == made
    assert (review["status"], review["targetStage"]) == ("Open", "Staging")
    assert review["reviewerResponses"][0]["reviewer"]["id"] == reviewer.id
    refused(server, 400, "PUT", f"{version}/stages/validation", {"stage": "Staging"})
    assert "not approved" in refused(server, 400, "PATCH", version, {"currentStage": "Staging"})

    answer = {"decision": "Approved", "notes": "the loss falls"}
    ok(server, "POST", f"{version}/reviews/{review['modelReviewId']}/responses", answer, status=201, key=key)
    assert ask(server, "PUT", f"{version}/stages/validation", {"stage": "Staging"}).status == 200
    staged = ok(server, "PATCH", version, {"currentStage": "Staging"})
    assert staged["currentStage"] == "Staging"
    assert staged["experimentRunId"] == to_hex32(run.id, Kind.RUN)
    assert staged["reviewSummary"]["status"] == "Approved"
    about = staged["versionUiDetails"]["experimentRunInfo"]
    assert [(m["key"], m["value"]) for m in about["metrics"]] == [("train/loss", 0.5)]
    assert about["params"] == [{"key": "lr", "value": "0.1"}]


def test_projects_are_found_by_name_and_booked_under_a_tag(server: ServerHandle) -> None:
    tag, name = fresh("tag"), fresh("Project")
    project = project_of(server, name)
    assert ok(server, "POST", "/api/cost/v1/billingtags", {"billingTags": [tag]}) == {"billingTags": [{"tag": tag}]}
    listed = ok(server, "GET", "/api/projects/beta/projects?limit=100")["projects"]
    assert project.id in [p["id"] for p in listed if p["name"] == name]
    path = f"/v4/projects/{project.id}/billingtag"
    assert ok(server, "GET", path) is None
    assert ok(server, "POST", path, {"tag": tag}) == {"tag": tag}
    assert ok(server, "GET", path) == {"tag": tag}
    assert ok(server, "DELETE", path) is None
    assert ok(server, "GET", path) is None


def _call(server: ServerHandle, project: Id, tag: str, at: int) -> None:
    """A call of 1,000,000 prompt tokens and as many completion tokens."""
    item = Interaction(
        new_id(), server.admin.space_id, project, at, [{"role": "user", "content": "?"}], "!", model_name="m",
        prompt_tokens=1_000_000, completion_tokens=1_000_000, billing_tag=tag,
    )  # fmt: skip

    def write(ctx: Ctx[WriteTx]) -> None:
        interaction_store.insert_many(ctx.tx, [item])

    server.core.write_now(server.admin, write)


def _ran(server: ServerHandle, project: Any, since: int, until: int) -> Run:
    run = run_of(server, project)
    server.core.write_now(server.admin, start_run, run.id)
    done = server.core.write_now(server.admin, complete_run, run.id)

    def write(ctx: Ctx[WriteTx]) -> Run:
        moved = replace(done, started_at=since, ended_at=until)
        run_store.save_run(ctx.tx, done, moved)
        return moved

    return server.core.write_now(server.admin, write)


def test_cost_is_split_by_billing_tag(server: ServerHandle) -> None:
    """Tokens at 1 and 3 per million, hours at 0.10: the default prices."""
    tag = fresh("cost")
    project = project_of(server)
    ok(server, "POST", "/api/cost/v1/billingtags", {"billingTags": [tag]})
    server.core.write_now(server.admin, tag_project, project.id, tag)
    now = time.time_ns() // 1_000
    day = now // (24 * HOUR) * 24 * HOUR
    _call(server, project.id, tag, now)
    _ran(server, project, day - HOUR, day + HOUR // 2)
    query = "window=today&aggregate=label:dominodatalab.com/billing-tag&accumulate=true"
    rows = ok(server, "GET", f"/api/cost/v1/allocation?{query}")["data"]
    mine = next(r for r in rows if r["name"] == tag)
    assert mine["labels"]["calls"] == "1"
    assert (mine["labels"]["promptTokens"], mine["labels"]["completionTokens"]) == ("1000000", "1000000")
    assert mine["cpuCoreHours"] == pytest.approx(0.5)
    assert mine["cpuCost"] == pytest.approx(0.05)
    assert mine["totalCost"] == pytest.approx(4.05)
    assert mine["properties"]["labels"] == {"dominodatalab.com/billing-tag": tag}


def test_models_datasets_and_runs_of_other_apis_are_seen(server: ServerHandle) -> None:
    project = project_of(server)
    run = run_of(server, project, name=fresh("dates-sft"), recipe="sft")
    model = model_of(server, run)
    data = server.core.write_now(server.admin, create_dataset, CreateDataset(fresh("answers"), project_id=project.id))
    registered = ok(server, "GET", f"/api/registeredmodels/v1/{model.name}")
    assert (registered["name"], registered["latestVersion"]) == (model.name, 1)
    listed = ok(server, "GET", "/api/datasetrw/v2/datasets?limit=100&includeProjectInfo=true")["datasets"]
    same = [d for d in listed if d["dataset"]["id"] == data.id]
    assert same[0]["projectInfo"]["projectId"] == project.id
    jobs = ok(server, "GET", f"/api/jobs/beta/jobs?projectId={project.id}&limit=100")["jobs"]
    assert [(j["id"], j["title"], j["number"]) for j in jobs] == [(run.id, run.name, 1)]
    assert jobs[0]["status"]["executionStatus"] == "Pending"
