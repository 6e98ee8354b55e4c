"""Each noun of the API from its making to its end, through HTTP."""

from __future__ import annotations

from tests.dialects.domino.asking import ask, fresh, member, model_of, ok, project_of, refused, run_of
from tests.support.servers import ServerHandle

from quintet.app.events.report import report_logs
from quintet.app.runs.read import find_run
from quintet.app.runs.state import complete_run, start_run
from quintet.domain.events import LogLine
from quintet.domain.ids import Kind, to_hex32
from quintet.domain.runs import RunKind, RunState


def test_a_project_with_its_people_goals_and_status(server: ServerHandle) -> None:
    name = fresh("Made")
    body = {"name": name, "description": "d", "visibility": "Private", "unknownField": 1}
    made = ok(server, "POST", "/api/projects/beta/projects", body)["project"]
    assert (made["name"], made["visibility"], made["ownerUsername"]) == (name, "private", "admin@quintet.local")
    root = f"/api/projects/v1/projects/{made['id']}"
    user, _ = member(server)
    added = ok(server, "POST", f"{root}/collaborators", {"id": user.id, "role": "LAUNCHERUSER"})
    assert added["collaborator"] == {"id": user.id, "role": "launcherUser"}
    assert ok(server, "GET", root)["project"]["collaborators"] == [{"id": user.id, "role": "launcherUser"}]
    assert ok(server, "DELETE", f"{root}/collaborators/{user.id}")["success"] is True
    refused(server, 404, "DELETE", f"{root}/collaborators/{user.id}")

    goal = ok(server, "POST", f"{root}/goals", {"title": "t", "description": "d"})["goal"]
    assert goal["isComplete"] is False
    assert ok(server, "PATCH", f"{root}/goals/{goal['id']}", {"isComplete": True})["goal"]["isComplete"] is True
    assert [g["id"] for g in ok(server, "GET", f"{root}/goals")["goals"]] == [goal["id"]]
    ok(server, "DELETE", f"{root}/goals/{goal['id']}")
    assert ok(server, "GET", f"{root}/goals")["goals"] == []

    blocked = {"status": "active", "isBlocked": True, "blockedReason": "budget"}
    assert ok(server, "PUT", f"{root}/status", blocked)["status"]["blockedReason"] == "budget"
    settings = f"/api/projects/beta/projects/{made['id']}/results-settings"
    assert ok(server, "PUT", settings, {"branch": "isolated"})["resultsSettings"] == {"branch": "isolated"}
    ok(server, "DELETE", f"/api/projects/beta/projects/{made['id']}")
    refused(server, 404, "GET", root)


def test_lists_are_pages_with_a_total(server: ServerHandle) -> None:
    for _ in range(3):
        project_of(server)
    first = ok(server, "GET", "/api/projects/beta/projects?limit=2")
    about = first["metadata"]["pagination"]
    assert (about["offset"], about["limit"]) == (0, 2)
    second = ok(server, "GET", f"/api/projects/beta/projects?limit=100&offset={about['totalCount'] - 1}")
    assert len(second["projects"]) == 1
    assert second["projects"][0]["id"] not in [p["id"] for p in first["projects"]]
    assert refused(server, 400, "GET", "/api/projects/beta/projects?limit=x").startswith("limit")
    assert refused(server, 400, "GET", "/api/projects/beta/projects?limit=0").startswith("limit")


def test_a_job_is_a_run_that_was_queued_from_a_command(server: ServerHandle) -> None:
    project = project_of(server)
    tier = fresh("tier")
    gpu = {"resources": {"cores": 4}, "gpuConfiguration": {"numberOfGpus": 1}, "centsPerMinute": 5}
    ok(server, "POST", "/api/hardwaretiers/v1/hardwaretiers", {"id": tier, **gpu})
    body = {"projectId": project.id, "runCommand": "python main.py 'a b'", "title": "train", "hardwareTier": tier}
    job = ok(server, "POST", "/api/jobs/v1/jobs", body)["job"]
    assert (job["number"], job["title"], job["runCommand"]) == (1, "train", body["runCommand"])
    assert job["status"]["executionStatus"] == "Queued"
    run = server.core.read_now(server.admin, find_run, job["id"])
    assert (run.kind, run.script) == (RunKind.CUSTOM, {"command": ["python", "main.py", "a b"]})
    assert run.runtime["hardware"] == {"tier": tier, "cores": 4.0, "gpus": 1, "hour_price": 3.0}

    recipe = {"projectId": project.id, "runCommand": 'quintet recipe sft {"dataset": "d"}'}
    second = ok(server, "POST", "/api/jobs/v1/jobs", recipe)["job"]
    run = server.core.read_now(server.admin, find_run, second["id"])
    assert (run.kind, run.recipe, run.args, run.state) == (RunKind.SFT, "sft", {"dataset": "d"}, RunState.QUEUED)
    listed = ok(server, "GET", f"/api/jobs/beta/jobs?projectId={project.id}")["jobs"]
    assert [j["number"] for j in listed] == [2, 1]
    ascending = ok(server, "GET", f"/api/jobs/beta/jobs?projectId={project.id}&sortBy=command&ascending=true")["jobs"]
    assert [j["runCommand"][:6] for j in ascending] == ["python", "quinte"]

    tag = ok(server, "POST", f"/api/jobs/v1/jobs/{job['id']}/tags", {"tagName": "good"})["tag"]
    found = ok(server, "GET", f"/api/jobs/beta/jobs?projectId={project.id}&tagFilter=good")["jobs"]
    assert [j["id"] for j in found] == [job["id"]]
    ok(server, "DELETE", f"/api/jobs/v1/jobs/{job['id']}/tags/{tag['id']}?projectId={project.id}")
    assert ok(server, "GET", f"/api/jobs/beta/jobs/{job['id']}")["job"]["tags"] == []


def test_the_log_of_a_job_goes_on_after_a_time(server: ServerHandle) -> None:
    run = run_of(server, project_of(server))
    server.core.write_now(server.admin, start_run, run.id)
    lines = [LogLine(n * 1_000_000, "error" if n == 2 else "info", "w", f"line {n}") for n in (1, 2, 3)]
    server.core.write_now(server.admin, report_logs, run.id, lines)
    path = f"/api/jobs/beta/jobs/{run.id}/logs"
    first = ok(server, "GET", f"{path}?limit=2")
    assert [x["log"] for x in first["logs"]["logContent"]] == ["line 1", "line 2"]
    assert first["logs"]["isComplete"] is False
    cursor = first["metadata"]["pagination"]["latestTimeNano"]
    assert cursor == "2000000000"
    server.core.write_now(server.admin, complete_run, run.id)
    second = ok(server, "GET", f"{path}?limit=2&latestTimeNano={cursor}")["logs"]
    assert [x["log"] for x in second["logContent"]] == ["line 3"]
    assert second["isComplete"] is True
    only = ok(server, "GET", f"{path}?logType=STDERR")["logs"]["logContent"]
    assert [(x["log"], x["logType"]) for x in only] == [("line 2", "stdErr")]


def test_a_dataset_with_snapshots_tags_and_grants(server: ServerHandle) -> None:
    project, (user, _) = project_of(server), member(server)
    name = fresh("data")
    grants = [{"targetId": user.id, "targetRole": "DatasetRwReader"}]
    body = {"name": name, "projectId": project.id, "description": "d", "grants": grants}
    made = ok(server, "POST", "/api/datasetrw/v1/datasets", body)["dataset"]
    root = f"/api/datasetrw/v1/datasets/{made['id']}"
    assert "already" in refused(server, 400, "POST", "/api/datasetrw/v1/datasets", body)
    roles = {g["targetId"]: g["targetRole"] for g in ok(server, "GET", f"{root}/grants")["grantDetails"]}
    assert roles == {server.admin.user_id: "DatasetRwOwner", user.id: "DatasetRwReader"}
    ok(server, "DELETE", f"{root}/grants", grants[0])
    assert len(ok(server, "GET", f"{root}/grants")["grantDetails"]) == 1

    one, two = (ok(server, "POST", f"{root}/snapshots", {"relativeFilePaths": ["."]})["snapshot"] for _ in range(2))
    for snapshot in (one, two):
        tagged = ok(server, "POST", f"{root}/tags", {"tagName": "best", "snapshotId": snapshot["id"]})["dataset"]
        assert tagged["tags"] == {"best": snapshot["id"]}
    assert tagged["snapshotIds"] == [one["id"], two["id"]]
    assert ok(server, "GET", f"/api/datasetrw/v1/snapshots/{one['id']}")["snapshot"]["status"] == "active"
    assert ok(server, "DELETE", f"{root}/tags/best")["dataset"]["tags"] == {}
    assert ok(server, "PATCH", root, {"description": "new"})["dataset"]["description"] == "new"
    listed = ok(server, "GET", f"/api/datasetrw/v1/datasets?projectId={project.id}")["datasets"]
    assert [d["id"] for d in listed] == [made["id"]]
    query = f"projectIdsToExclude={project.id}&limit=1000"
    others = ok(server, "GET", f"/api/datasetrw/v2/datasets?{query}")["datasets"]
    assert made["id"] not in [d["dataset"]["id"] for d in others]
    ok(server, "DELETE", root)
    refused(server, 404, "GET", root)


def test_a_model_is_registered_by_name_with_versions(server: ServerHandle) -> None:
    run = run_of(server, project_of(server))
    name = fresh("My Model")
    spelt = to_hex32(run.id, Kind.RUN)
    body = {"modelName": name, "experimentRunId": spelt, "tags": {"task": "dates"}}
    made = ok(server, "POST", "/api/registeredmodels/v1", body)
    assert (made["name"], made["latestVersion"], made["tags"]) == (name, 0, {"task": "dates"})
    assert made["project"]["id"] == run.project_id
    assert "already" in refused(server, 400, "POST", "/api/registeredmodels/v1", body)
    path = f"/api/registeredmodels/v1/{name.replace(' ', '%20')}"
    version = ok(server, "POST", f"{path}/versions", {"artifact": "model", "experimentRunId": spelt})
    assert (version["modelVersion"], version["currentStage"], version["experimentRunId"]) == (1, "None", spelt)
    assert [v["modelVersion"] for v in ok(server, "GET", f"{path}/versions")["items"]] == [1]
    names = ok(server, "GET", f"/api/registeredmodels/v1/names?projectId={run.project_id}")["items"]
    assert names == [name]
    row = ok(server, "GET", f"/api/registeredmodels/v1/ui?projectId={run.project_id}")["items"][0]
    assert (row["name"], row["latestVersionStage"], row["modelApiCount"]) == (name, "None", 0)
    assert ok(server, "GET", f"{path}/modelapis")["items"] == []
    assert ask(server, "POST", f"/api/registeredmodels/v1/access/{run.project_id}").status == 204


def test_lists_of_models_go_on_by_token(server: ServerHandle) -> None:
    project = project_of(server)
    names = sorted(model_of(server, run_of(server, project)).name for _ in range(3))
    path = f"/api/registeredmodels/v1?projectId={project.id}&maxResults=2"
    first = ok(server, "GET", path)
    token = first["metadata"]["pagination"]["nextPageToken"]
    second = ok(server, "GET", f"{path}&pageToken={token}")
    assert [m["name"] for m in first["items"] + second["items"]] == names
    assert second["metadata"]["pagination"]["nextPageToken"] is None
    like = ok(server, "GET", f"{path}&searchPattern=name%20LIKE%20'%25{names[1]}%25'")["items"]
    assert [m["name"] for m in like] == [names[1]]
    assert refused(server, 400, "GET", f"{path}&orderBy=colour").startswith("orderBy")


def test_a_name_that_two_models_have_finds_the_one_it_is_shown_for(server: ServerHandle) -> None:
    from quintet.app.models.registry import CreateModel, create_model

    name = fresh("twin")
    first, second = (server.core.write_now(server.admin, create_model, CreateModel(name)) for _ in range(2))
    shown = {m["name"] for m in ok(server, "GET", f"/api/registeredmodels/v1?searchPattern={name}")["items"]}
    assert shown == {name, second.key}
    ok(server, "PATCH", f"/api/registeredmodels/v1/{name}", {"description": "the first"})
    assert ok(server, "GET", f"/api/registeredmodels/v1/{second.key}")["description"] == ""
    assert ok(server, "GET", f"/api/registeredmodels/v1/{name}")["description"] == "the first"
    assert first.key == name


def test_projects_may_have_stages_of_their_own(server: ServerHandle) -> None:
    project = project_of(server)
    model = model_of(server, run_of(server, project))
    stages = f"/api/registeredmodels/v1/versions/stages/projects/{project.id}"
    assert ok(server, "GET", stages)["items"] == []
    assert [s["label"] for s in ok(server, "GET", f"{stages}?includeDefaults=true")["items"]][:2] == ["None", "Staging"]
    ok(server, "PUT", stages, {"stages": [{"label": "Canary"}, {"label": "Live"}]})
    version = f"/api/registeredmodels/v1/{model.name}/versions/1"
    assert [s["label"] for s in ok(server, "GET", f"{version}/reviewstages")["items"]] == ["Canary", "Live"]
    assert ok(server, "PATCH", version, {"currentStage": "canary"})["currentStage"] == "Canary"
    assert refused(server, 400, "PATCH", version, {"currentStage": "Staging"}).startswith("currentStage")
    refused(server, 400, "PUT", stages, {"stages": [{"label": "A"}, {"label": "A"}]})


def test_a_review_is_cancelled_and_its_stage_is_free_again(server: ServerHandle) -> None:
    model, (reviewer, key) = model_of(server), member(server)
    version = f"/api/registeredmodels/v1/{model.name}/versions/1"
    asked = {"targetStage": "Production", "reviewers": [{"userId": reviewer.id}]}
    review = ok(server, "POST", f"{version}/reviews", asked, status=201)
    refused(server, 400, "POST", f"{version}/reviews", asked)
    path = f"{version}/reviews/{review['modelReviewId']}"
    answer = {"decision": "Changes requested", "notes": "no"}
    ok(server, "POST", f"{path}/responses", answer, status=201, key=key)
    summary = ok(server, "GET", version)["reviewSummary"]
    assert summary["status"] == "ChangesRequested"
    assert summary["reviewerResponses"][0]["decision"] == "ChangesRequested"
    refused(server, 403, "PATCH", path, {"status": "Cancelled"}, key=key)
    assert ask(server, "PATCH", path, {"status": "cancelled"}).status == 204
    assert ok(server, "PATCH", version, {"currentStage": "Production"})["currentStage"] == "Production"


def test_tags_that_are_retired_book_nothing_more(server: ServerHandle) -> None:
    tag, project = fresh("old"), project_of(server)
    ok(server, "POST", "/v4/cost/billingtags", {"billingTags": [tag]})
    one = f"/api/cost/v1/billingtags/{tag}"
    assert ok(server, "GET", one) == {"billingTag": {"tag": tag, "active": True}}
    assert ok(server, "DELETE", one) == {"billingTag": {"tag": tag, "active": False}}
    refused(server, 400, "POST", f"/v4/projects/{project.id}/billingtag", {"tag": tag})
    assert tag not in [t["tag"] for t in ok(server, "GET", "/api/cost/v1/billingtags")["billingTags"]]


def test_the_rule_about_tags_is_kept(server: ServerHandle) -> None:
    tag, project = fresh("ruled"), project_of(server)
    ok(server, "POST", "/api/cost/v1/billingtags", {"billingTags": [tag]})
    path, rule = f"/v4/projects/{project.id}/billingtag", "/api/cost/v1/billingtagSettings"
    ok(server, "POST", path, {"tag": tag})
    try:
        assert ok(server, "PUT", rule, {"mode": "Required"}) == {"mode": "required", "notifications": False}
        refused(server, 400, "DELETE", path)
        ok(server, "PUT", rule, {"mode": "disabled", "notifications": True})
        refused(server, 400, "POST", path, {"tag": tag})
    finally:
        ok(server, "PUT", rule, {"mode": "optional", "notifications": False})
    ok(server, "DELETE", path)


def test_an_organisation_is_a_team(server: ServerHandle) -> None:
    name, (user, key) = fresh("Org"), member(server)
    members = [{"userId": user.id, "organizationRole": "Member"}]
    root = "/api/organizations/v1/organizations"
    org = ok(server, "POST", root, {"name": name, "members": members})["org"]
    assert org["members"] == [{"userId": user.id, "organizationRole": "member"}]
    mine = ok(server, "GET", f"{root}?nameFilter={name}", key=key)["orgs"]
    assert [o["id"] for o in mine] == [org["id"]]
    refused(server, 403, "GET", f"{root}/all", key=key)
    assert name in [o["name"] for o in ok(server, "GET", f"{root}/all?limit=1000")["orgs"]]
    one = f"{root}/{org['id']}"
    raised = ok(server, "PUT", f"{one}/user", {"userId": user.id, "organizationRole": "admin"})
    assert raised["org"]["members"] == [{"userId": user.id, "organizationRole": "admin"}]
    assert ok(server, "DELETE", f"{one}/user?memberToRemoveId={user.id}")["org"]["members"] == []
    refused(server, 404, "GET", one, key=key)


def test_users_are_listed_with_the_caller_among_them(server: ServerHandle) -> None:
    me = ok(server, "GET", "/api/users/v1/self")["user"]
    assert (me["id"], me["userName"]) == (server.admin.user_id, "admin@quintet.local")
    assert me["id"] in [u["id"] for u in ok(server, "GET", "/api/users/v1/users?limit=1000")["users"]]


def test_hardware_tiers_have_ids_of_their_own(server: ServerHandle) -> None:
    root, ident = "/api/hardwaretiers/v1/hardwaretiers", fresh("small-k8s")
    _, key = member(server)
    body = {"id": ident, "name": "Small", "resources": {"cores": 2, "memory": {"value": 4, "units": "GiB"}}}
    refused(server, 403, "POST", root, body, key=key)
    made = ok(server, "POST", root, body)["hardwareTier"]
    assert (made["id"], made["name"], made["resources"]["cores"]) == (ident, "Small", 2)
    assert "already" in refused(server, 400, "POST", root, body)
    assert ok(server, "PUT", root, {"id": ident, "centsPerMinute": 1})["hardwareTier"]["centsPerMinute"] == 1
    assert ident in [t["id"] for t in ok(server, "GET", f"{root}?limit=100", key=key)["hardwareTiers"]]
    ok(server, "DELETE", f"{root}/{ident}")
    refused(server, 404, "GET", f"{root}/{ident}")


def test_environments_have_numbered_revisions(server: ServerHandle) -> None:
    body = {"name": fresh("env"), "visibility": "Private", "image": "python:3.12", "addBaseDependencies": True}
    root = "/api/environments/beta/environments"
    made = ok(server, "POST", root, body)["environment"]
    assert (made["visibility"], made["latestRevision"]["number"]) == ("private", 1)
    revision = ok(server, "POST", f"{root}/{made['id']}/revisions", {"image": "python:3.13"})["environmentRevision"]
    assert (revision["number"], revision["status"]) == (2, "succeeded")
    ok(server, "PATCH", f"{root}/{made['id']}/revisions/{revision['id']}", {"isRestricted": True})
    found = ok(server, "GET", f"/api/environments/v1/environments/{made['id']}")["environment"]
    assert found["restrictedRevision"]["id"] == revision["id"]
    assert found["owner"]["username"] == "admin@quintet.local"
    _, key = member(server)
    refused(server, 403, "DELETE", f"/api/environments/v1/environments/{made['id']}", key=key)
    ok(server, "DELETE", f"/api/environments/v1/environments/{made['id']}")
    assert made["id"] not in [e["id"] for e in ok(server, "GET", f"{root}?limit=100")["environments"]]


def test_data_sources_keep_their_secrets_and_say_who_did_what(server: ServerHandle) -> None:
    root, name, (user, key) = "/api/datasource/v1/datasources", fresh("source"), member(server)
    body = {
        "name": name, "dataSourceType": "S3Config", "authType": "AWSIAMBasic", "credentialType": "Shared",
        "config": {"bucket": "b"}, "permissions": {"isEveryone": False},
        "credentials": {"secretCredentials": {"secretAccessKey": "S3CRET"}, "visibleCredentials": {"accessKeyID": "A"}},
    }  # fmt: skip
    made = ok(server, "POST", root, body)
    assert (made["dataSourceType"], made["ownerId"]) == ("S3Config", server.admin.user_id)
    one = f"{root}/{made['id']}"
    refused(server, 404, "GET", one, key=key)
    shared = {"permissions": {"isEveryone": False, "userAndOrganizationIds": [user.id]}}
    ok(server, "PATCH", one, shared)
    assert b"S3CRET" not in ask(server, "GET", one).body
    assert ok(server, "GET", one, key=key)["config"] == {"bucket": "b"}
    refused(server, 403, "PATCH", one, {"config": {"bucket": "c"}}, key=key)
    refused(server, 403, "DELETE", one, key=key)
    listed = ok(server, "GET", f"{root}?dataSourceNames={name}", key=key)["dataSources"]
    assert [s["id"] for s in listed] == [made["id"]]
    ok(server, "DELETE", one)
    events = ok(server, "GET", f"/api/datasource/v1/audit?dataSourceIds={made['id']}")
    kinds = ["DeleteDataSource", "DataSourceChangeOfPermissions", "CreateDataSource"]
    assert [e["eventKind"] for e in events] == kinds
    refused(server, 403, "GET", "/api/datasource/v1/audit", key=key)


def test_repositories_and_shared_datasets_are_kept_with_the_project(server: ServerHandle) -> None:
    one, two = project_of(server), project_of(server)
    root = f"/api/projects/v1/projects/{one.id}"
    body = {"uri": "https://git.example.org/team/code", "serviceProvider": "GitLab"}
    made = ok(server, "POST", f"{root}/repositories", body)["repository"]
    assert (made["name"], made["serviceProvider"]) == ("code", "gitLab")
    assert ok(server, "GET", f"{root}/repositories")["repositories"] == [made]
    ok(server, "DELETE", f"{root}/repositories/{made['id']}")
    refused(server, 404, "DELETE", f"{root}/repositories/{made['id']}")

    body = {"name": fresh("shared"), "projectId": two.id}
    dataset = ok(server, "POST", "/api/datasetrw/v1/datasets", body)["dataset"]["id"]
    entry = ok(server, "POST", f"{root}/shared-datasets", {"datasetId": dataset})["dataset"]
    assert entry == {"projectId": one.id, "sharedDatasetIds": [dataset]}
    own = f"/api/projects/v1/projects/{two.id}/shared-datasets"
    refused(server, 400, "POST", own, {"datasetId": dataset})
    ok(server, "DELETE", f"{root}/shared-datasets/{dataset}")
    assert ok(server, "GET", f"{root}/shared-datasets")["dataset"]["sharedDatasetIds"] == []


def test_a_job_works_towards_goals_of_its_project(server: ServerHandle) -> None:
    project = project_of(server)
    run = run_of(server, project)
    server.core.write_now(server.admin, start_run, run.id)
    made = {"title": "beat it", "description": ""}
    goal = ok(server, "POST", f"/api/projects/v1/projects/{project.id}/goals", made)["goal"]
    path = f"/api/jobs/v1/goals?jobId={run.id}"
    linked = ok(server, "POST", path, {"goalId": goal["id"], "projectId": project.id})["goal"]
    assert (linked["title"], linked["jobId"]) == ("beat it", run.id)
    assert ok(server, "GET", path)["goals"] == [linked]
    assert ok(server, "GET", f"/api/jobs/beta/jobs/{run.id}")["job"]["goalIds"] == [goal["id"]]
    unlink = f"/api/jobs/v1/goals/{goal['id']}?jobId={run.id}&projectId={project.id}"
    ok(server, "DELETE", unlink)
    refused(server, 404, "DELETE", unlink)
    refused(server, 404, "POST", path, {"goalId": "0" * 24})


def test_older_routes_lead_to_the_same_jobs_and_projects(server: ServerHandle) -> None:
    project, tag = project_of(server), fresh("bulk")
    query = f"ownerName=admin@quintet.local&projectName={project.name}"
    found = ok(server, "GET", f"/v4/gateway/projects/findProjectByOwnerAndName?{query}")
    assert (found["id"], found["visibility"]) == (project.id, "Private")
    refused(server, 404, "GET", "/v4/gateway/projects/findProjectByOwnerAndName?ownerName=x&projectName=y")
    assert project.id in [p["id"] for p in ok(server, "GET", "/v4/gateway/projects?relationship=Owned")]
    assert server.admin.user_id in [u["id"] for u in ok(server, "GET", "/v4/users")]

    made = ok(server, "POST", "/v4/jobs/start", {"projectId": project.id, "commandToRun": "true", "title": "t"})
    assert made["statuses"]["executionStatus"] == "Queued"
    assert [j["id"] for j in ok(server, "GET", f"/v4/jobs?projectId={project.id}")["jobs"]] == [made["id"]]
    assert ok(server, "GET", f"/v4/jobs?projectId={project.id}&status=running")["jobs"] == []
    stopped = ok(server, "POST", "/v4/jobs/stop", {"projectId": project.id, "jobId": made["id"]})
    assert stopped["statuses"] == ok(server, "GET", f"/v4/jobs/{made['id']}")["statuses"]
    assert (stopped["statuses"]["executionStatus"], stopped["statuses"]["isCompleted"]) == ("Stopped", True)
    assert refused(server, 400, "GET", f"/v4/jobs?projectId={project.id}&page_no=0").startswith("page_no")

    ok(server, "POST", "/api/cost/v1/billingtags", {"billingTags": [tag]})
    other = project_of(server)
    wanted = [{"projectId": p.id, "billingTag": {"tag": tag}} for p in (project, other)]
    path = "/v4/projects/billingtags/projects"
    broken = [*wanted, {"projectId": "0" * 24, "billingTag": {"tag": tag}}]
    refused(server, 404, "POST", path, {"projectsBillingTags": broken})
    assert ok(server, "GET", f"{path}?billingTag={tag}")["totalMatches"] == 0
    ok(server, "POST", path, {"projectsBillingTags": wanted})
    page = ok(server, "GET", f"{path}?billingTag={tag}&pageSize=1&offset=1")
    assert (page["totalMatches"], [p["id"] for p in page["page"]]) == (2, [other.id])
    assert ok(server, "GET", "/v4/cost/billingtagSettings/mode") == {"mode": "optional"}
