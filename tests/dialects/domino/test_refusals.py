"""Bad input: every refusal has its status and shape, names the field, and changes nothing."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.dialects.domino.asking import ask, fresh, member, model_of, ok, project_of, refused, run_of
from tests.support.servers import ServerHandle

from quintet.dialects.domino.windows import daily, parse_window
from quintet.domain.errors import Invalid

PROJECTS = "/api/projects/beta/projects"
COST = "/api/cost/v1/allocation"
NOBODY = "0" * 24


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", PROJECTS),
        ("POST", "/api/registeredmodels/v1"),
        ("POST", "/api/jobs/v1/jobs"),
        ("POST", "/api/datasetrw/v1/datasets"),
        ("POST", "/api/cost/v1/billingtags"),
        ("POST", "/api/aigateway/v1/endpoints"),
        ("POST", "/api/hardwaretiers/v1/hardwaretiers"),
        ("POST", "/api/environments/beta/environments"),
        ("POST", "/api/datasource/v1/datasources"),
        ("POST", "/api/organizations/v1/organizations"),
    ],
)
def test_a_body_that_cannot_be_decoded_is_an_invalid_body(server: ServerHandle, method: str, path: str) -> None:
    broken = ask(server, method, path, raw=b"{not json")
    assert (broken.status, set(broken.json)) == (400, {"message"})
    listed = ask(server, method, path, [1])
    assert (listed.status, set(listed.json)) == (400, {"message"})
    assert ask(server, method, path, raw=b"").status == 400
    assert ask(server, method, path, raw=b"\xff\xfe").status == 400


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("POST", PROJECTS, {"name": 3}, "name"),
        ("POST", PROJECTS, {"description": "x"}, "name"),
        ("POST", PROJECTS, {"name": " "}, "name"),
        ("POST", PROJECTS, {"name": "x", "visibility": "secret"}, "visibility"),
        ("POST", PROJECTS, {"name": "x" * 1_001}, "name"),
        ("POST", PROJECTS, {"name": "x\x00y"}, "name"),
        ("POST", "/api/cost/v1/billingtags", {"billingTags": []}, "billingTags"),
        ("POST", "/api/cost/v1/billingtags", {"billingTags": [""]}, "billingTags"),
        ("POST", "/api/cost/v1/billingtags", {"billingTags": [1]}, "billingTags["),
        ("PUT", "/api/cost/v1/billingtagSettings", {"mode": "maybe"}, "mode"),
        ("GET", COST, None, "window"),
        ("GET", f"{COST}?window=fortnight", None, "window"),
        ("GET", f"{COST}?window=0d", None, "window"),
        ("GET", f"{COST}?window=2026-01-02T00:00:00Z,2026-01-01T00:00:00Z", None, "window"),
        ("GET", f"{COST}?window=0001-01-01T00:00:00Z,9999-01-01T00:00:00Z&accumulate=maybe", None, "accumulate"),
        ("GET", f"{COST}?window=today&aggregate=namespace", None, "aggregate"),
        ("GET", f"{COST}?window=today&filter=model", None, "filter"),
        ("POST", "/api/registeredmodels/v1", {"modelName": ""}, "name"),
        ("GET", "/api/jobs/beta/jobs", None, "projectId"),
        ("GET", "/api/registeredmodels/v1?maxResults=0", None, "maxResults"),
        ("GET", "/api/registeredmodels/v1?pageToken=x", None, "cursor"),
        ("POST", "/api/datasetrw/v1/datasets", {"name": "x"}, "projectId"),
        ("POST", "/api/hardwaretiers/v1/hardwaretiers", {"id": "x", "centsPerMinute": -1}, "centsPerMinute"),
        ("POST", "/api/environments/beta/environments", {"name": "", "image": "x"}, "name"),
        ("POST", "/api/datasource/v1/datasources", {"name": "x", "dataSourceType": "Floppy", "authType": "Basic"},
         "dataSourceType"),
        ("GET", "/api/datasource/v1/audit?startTime=soon", None, "startTime"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(server: ServerHandle, method: str, path: str, body: Any, named: str) -> None:
    reply = ask(server, method, path, body)
    assert reply.status == 400, reply.body
    said = reply.json["message"] if "message" in reply.json else reply.json["errors"][0]
    assert named in said


@pytest.mark.parametrize(
    "command", ["", "   ", "quintet recipe sft {", "quintet recipe sft [1]", "python 'unclosed"]
)
def test_a_command_that_cannot_be_read_starts_nothing(server: ServerHandle, command: str) -> None:
    project = project_of(server)
    body = {"projectId": project.id, "runCommand": command}
    assert refused(server, 400, "POST", "/api/jobs/v1/jobs", body).startswith("runCommand")
    assert ok(server, "GET", f"/api/jobs/beta/jobs?projectId={project.id}")["jobs"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/projects/v1/projects/{id}"),
        ("DELETE", "/api/projects/beta/projects/{id}"),
        ("GET", "/api/projects/v1/projects/{id}/goals"),
        ("GET", "/v4/projects/{id}/billingtag"),
        ("GET", "/api/jobs/beta/jobs?projectId={id}"),
        ("GET", "/api/jobs/beta/jobs/{id}"),
        ("GET", "/api/jobs/beta/jobs/{id}/logs"),
        ("GET", "/api/datasetrw/v1/datasets/{id}"),
        ("DELETE", "/api/datasetrw/v1/datasets/{id}"),
        ("GET", "/api/datasetrw/v1/datasets/{id}/snapshots"),
        ("GET", "/api/datasetrw/v1/snapshots/{id}"),
        ("GET", "/api/registeredmodels/v1/{id}"),
        ("GET", "/api/registeredmodels/v1/{id}/versions/1"),
        ("GET", "/api/organizations/v1/organizations/{id}"),
        ("GET", "/api/environments/v1/environments/{id}"),
        ("GET", "/api/hardwaretiers/v1/hardwaretiers/{id}"),
        ("GET", "/api/datasource/v1/datasources/{id}"),
        ("GET", "/api/aigateway/v1/endpoints/{id}"),
        ("GET", "/api/cost/v1/billingtags/{id}"),
    ],
)
def test_an_unknown_id_or_one_of_another_kind_is_not_found(server: ServerHandle, method: str, path: str) -> None:
    for ident in (NOBODY, server.admin.user_id, "nonsense"):
        refused(server, 404, method, path.format(id=ident))


def test_a_version_that_is_not_there_is_not_found(server: ServerHandle) -> None:
    path = f"/api/registeredmodels/v1/{model_of(server).name}/versions"
    refused(server, 404, "GET", f"{path}/2")
    refused(server, 404, "GET", f"{path}/2/modelapis")
    assert refused(server, 400, "GET", f"{path}/one").startswith("version")
    refused(server, 404, "POST", f"{path}/1/reviews/{NOBODY}/responses", {"decision": "Approved"})
    reviewers = {"targetStage": "Staging", "reviewers": [{"userId": NOBODY}]}
    assert "reviewers" in refused(server, 400, "POST", f"{path}/1/reviews", reviewers)


def test_a_role_that_may_only_read_changes_nothing(server: ServerHandle) -> None:
    _, key = member(server, "read-only")
    project = project_of(server)
    model, run = model_of(server), run_of(server, project)
    for method, path, body in (
        ("POST", PROJECTS, {"name": fresh("no")}),
        ("PUT", f"/api/projects/v1/projects/{project.id}/status", {"status": "complete"}),
        ("DELETE", f"{PROJECTS}/{project.id}", None),
        ("POST", "/api/cost/v1/billingtags", {"billingTags": ["no"]}),
        ("POST", f"/v4/projects/{project.id}/billingtag", {"tag": "no"}),
        ("GET", f"{COST}?window=today", None),
        ("PATCH", f"/api/registeredmodels/v1/{model.name}", {"description": "no"}),
        ("PATCH", f"/api/registeredmodels/v1/{model.name}/versions/1", {"currentStage": "Staging"}),
        ("POST", "/api/jobs/v1/jobs", {"projectId": project.id, "runCommand": "true"}),
        ("POST", f"/api/jobs/v1/jobs/{run.id}/tags", {"tagName": "no"}),
        ("POST", "/api/datasetrw/v1/datasets", {"name": "no", "projectId": project.id}),
        ("POST", "/api/organizations/v1/organizations", {"name": "no"}),
        ("POST", "/api/environments/beta/environments", {"name": "no"}),
        ("POST", "/api/aigateway/v1/endpoints",
         {"endpointName": "no", "endpointType": "llm/v1/chat", "modelProvider": "openai", "modelName": "m"}),
    ):  # fmt: skip
        refused(server, 403, method, path, body, key=key)
    assert ok(server, "GET", f"/api/projects/v1/projects/{project.id}")["project"]["id"] == project.id
    assert ok(server, "GET", f"/api/registeredmodels/v1/{model.name}")["description"] == ""


def test_a_body_that_is_too_large_is_refused(server: ServerHandle) -> None:
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    connection.putrequest("POST", PROJECTS)
    connection.putheader("X-Domino-Api-Key", server.key)
    connection.putheader("Content-Length", str((16 << 20) + 1))
    connection.endheaders()
    # Refused by its length alone: nothing of the body has been sent.
    reply = connection.getresponse()
    assert (reply.status, set(json.loads(reply.read()))) == (413, {"requestId", "errors"})
    connection.close()


HOUR = 3_600_000_000
DAY = 24 * HOUR
NOW = 20_000 * DAY + 5 * HOUR  # a Friday, 5 o'clock


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("today", 20_000 * DAY, 20_001 * DAY),
        ("yesterday", 19_999 * DAY, 20_000 * DAY),
        ("week", 19_995 * DAY, 20_002 * DAY),
        ("lastweek", 19_988 * DAY, 19_995 * DAY),
        ("month", 19_997 * DAY, 20_028 * DAY),
        ("lastmonth", 19_967 * DAY, 19_997 * DAY),
        ("30m", NOW - HOUR // 2, NOW),
        ("12h", NOW - 12 * HOUR, NOW),
        ("7d", NOW - 7 * DAY, NOW),
        ("2024-10-01T00:00:00Z,2024-10-02T00:00:00+00:00", 19_997 * DAY, 19_998 * DAY),
    ],
)
def test_windows_are_read_as_kubecost_writes_them(text: str, since: int, until: int) -> None:
    assert parse_window(text, NOW) == (since, until)


def test_a_window_is_cut_at_midnight_without_a_gap() -> None:
    steps = daily(NOW - 2 * DAY, NOW)
    assert steps[0] == (NOW - 2 * DAY, 19_999 * DAY)
    assert [until for _, until in steps[:-1]] == [since for since, _ in steps[1:]]
    assert steps[-1][1] == NOW
    assert daily(0, DAY) == [(0, DAY)]


def test_a_window_without_end_is_refused() -> None:
    with pytest.raises(Invalid):
        parse_window("1999-01-01T00:00:00Z,", NOW)
