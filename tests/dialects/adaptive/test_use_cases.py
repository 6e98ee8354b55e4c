"""Use cases, their models, metrics, shares and settings; people; jobs; usage."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.dialects.adaptive.conftest import Client, _numbers
from tests.support.servers import ServerHandle

from quintet.dialects.adaptive import enums
from quintet.domain.identity import BUILTIN_ROLES, Permission

CASE = (
    "{ id key name description createdAt isArchived permissions shares { isOwner team { key } role { key } }"
    " metrics { key } settings { defaultMetric { key } } metadata { emoji { native } }"
    " widgets { title metric aggregation unit { symbol position } } toolProviders { id }"
    " defaultModelService { key } modelServices { key isDefault status } }"
)


def case(client: Client, ref: str = "") -> Any:
    query = f"query($k: IdOrKey!) {{ useCase(idOrKey: $k) {CASE} }}"
    return client.gql(query, k=ref or client.use_case)["useCase"]


# -- use cases ------------------------------------------------------------------------------------------------


def test_a_use_case_is_found_by_id_or_key_and_shown_whole(client: Client) -> None:
    found = case(client)
    assert case(client, found["id"]) == found
    assert (found["key"], found["description"], found["isArchived"]) == (client.use_case, "", False)
    assert abs(found["createdAt"] - time.time() * 1000) < 60_000
    assert found["shares"] == [{"isOwner": True, "team": {"key": "default"}, "role": {"key": "admin"}}]
    assert found["defaultModelService"] == {"key": "alpha"}
    assert found["modelServices"][0] == {"key": "alpha", "isDefault": True, "status": "ONLINE"}
    assert case(client, "none") is None


def test_a_use_case_is_made_with_everything_that_was_said(client: Client) -> None:
    metric, key = client.metric(), f"made-{next(_numbers)}"
    made = client.gql(
        f"mutation($i: UseCaseCreate!) {{ createUseCase(input: $i) {CASE} }}",
        i={"name": key, "key": key, "description": "d", "team": "admin", "metadata": {"emoji": {"native": "🦊"}},
           "settings": {"defaultMetric": metric}},
    )["createUseCase"]  # fmt: skip
    assert made["shares"][0]["team"] == {"key": "admin"}
    assert (made["metadata"], made["settings"]) == ({"emoji": {"native": "🦊"}}, {"defaultMetric": {"key": metric}})
    assert made["metrics"] == [{"key": metric}]
    again = {"name": "x", "key": key}
    error = client.error("mutation($i: UseCaseCreate!) { createUseCase(input: $i) { id } }", i=again)
    assert error["extensions"] == {"code": "conflict", "field": "key"}


def test_a_use_case_is_changed_where_something_is_said_and_archived(client: Client) -> None:
    query = f"mutation($k: IdOrKey!, $i: UseCaseUpdate!) {{ updateUseCase(idOrKey: $k, input: $i) {CASE} }}"
    widget = {"title": "t", "metric": "m", "aggregation": "SUM", "unit": {"symbol": "$", "position": "LEFT"}}
    new = client.gql(query, k=client.use_case, i={"description": "new", "widgets": [widget], "name": None})
    assert (new["updateUseCase"]["description"], new["updateUseCase"]["widgets"]) == ("new", [widget])
    assert new["updateUseCase"]["name"] == client.use_case
    client.gql(query, k=client.use_case, i={"isArchived": True, "metadata": {"emoji": {"native": "🦊"}}})
    shown = case(client)
    assert (shown["isArchived"], shown["widgets"], shown["description"]) == (True, [widget], "new")
    current = [c["key"] for c in client.gql("{ useCases { key } }")["useCases"]]
    archived = [c["key"] for c in client.gql("{ useCases(filter: {isArchived: true}) { key } }")["useCases"]]
    assert (client.use_case in current, client.use_case in archived) == (False, True)


SHARE = (
    "mutation($k: IdOrKey!, $s: [UseCaseShareInput!]!) {"
    " shareUseCase(idOrKey: $k, input: {shares: $s}) { shares { isOwner team { key } role { key } } } }"
)


def test_shares_are_replaced_as_a_whole(client: Client) -> None:
    team = client.gql("mutation($n: String!) { createTeam(input: {name: $n}) { id key } }",
                      n=f"team {next(_numbers)}")["createTeam"]  # fmt: skip
    shares = [{"team": team["id"], "role": "annotator", "isOwner": False},
              {"team": "default", "role": "member", "isOwner": True}]  # fmt: skip
    found = client.gql(SHARE, k=client.use_case, s=shares)["shareUseCase"]["shares"]
    assert {(s["team"]["key"], s["role"]["key"], s["isOwner"]) for s in found} == {
        (team["key"], "annotator", False), ("default", "member", True)}  # fmt: skip
    assert client.gql(SHARE, k=client.use_case, s=[])["shareUseCase"]["shares"] == []
    bad = [{"team": "default", "role": "wizard", "isOwner": False}]
    assert client.error(SHARE, k=client.use_case, s=bad)["message"] == "EntityNotFound: role 'wizard'"
    assert "twice" in client.error(SHARE, k=client.use_case, s=shares[1:] * 2)["message"]
    assert case(client)["shares"] == []


# -- models ---------------------------------------------------------------------------------------------------


def service(client: Client, **change: Any) -> Any:
    query = (
        "mutation($i: UpdateModelService!) { updateModelService(input: $i) { key name attached isDefault desiredOnline"
        " status placement { computePools maxTtftMs } } }"
    )
    return client.gql(query, i={"useCase": client.use_case, "modelService": "beta", **change})["updateModelService"]


def test_a_service_changes_only_where_something_is_said(client: Client) -> None:
    made = service(client, isDefault=True, attached=None, desiredOnline=None, placement=None)
    assert (made["isDefault"], made["attached"], made["status"]) == (True, True, "ONLINE")
    assert client.chat()["choices"][0]["model"] == "beta"
    off = service(client, desiredOnline=False, placement={"computePools": ["default"], "maxTtftMs": 500})
    assert (off["status"], off["isDefault"]) == ("TURNED_OFF", True)
    assert off["placement"] == {"computePools": ["default"], "maxTtftMs": 500}
    gone = service(client, attached=False)
    assert (gone["status"], gone["isDefault"]) == ("DETACHED", False)
    assert [s["key"] for s in case(client)["modelServices"]] == ["alpha"]
    error = client.error("mutation($i: UpdateModelService!) { updateModelService(input: $i) { key } }",
                         i={"useCase": client.use_case, "modelService": "beta", "isDefault": True})  # fmt: skip
    assert "not attached" in error["message"]


def test_a_detached_model_is_attached_again_as_the_same_service(client: Client) -> None:
    attach = "mutation($i: AttachModel!) { attachModel(input: $i) { id attached } }"
    given = {"useCase": client.use_case, "model": "beta"}
    before = client.gql(attach, i={**given, "attached": False})["attachModel"]
    assert before["attached"] is False
    assert client.gql(attach, i=given)["attachModel"] == {"id": before["id"], "attached": True}
    assert client.error(attach, i={**given, "model": "none"})["message"] == "EntityNotFound: model 'none'"


@pytest.mark.parametrize(
    ("provider", "data", "name"),
    [
        ("OPEN_AI", {"openAI": {"apiKey": "k", "externalModelId": "GPT4O"}}, "OPEN_AI"),
        ("AZURE", {"azure": {"apiKey": "k", "externalModelId": "m", "endpoint": "https://a.example"}}, "AZURE"),
        ("GOOGLE", {"google": {"apiKey": "k", "externalModelId": "m"}}, "GOOGLE"),
        ("ANTHROPIC", {"anthropic": {"apiKey": "k", "externalModelId": "m"}}, "ANTHROPIC"),
        ("NVIDIA", {"nvidia": {"externalModelId": "m", "endpoint": "https://n.example"}}, "NVIDIA"),
    ],
)
def test_external_models_of_every_provider(client: Client, provider: str, data: Any, name: str) -> None:
    query = (
        "mutation($i: AddExternalModelInput!) { addExternalModel(input: $i) { key providerName isExternal online kind"
        " computeConfig { tp } } }"
    )
    made = client.gql(query, i={"name": "My Model", "provider": provider, "providerData": data})["addExternalModel"]
    assert made["key"].startswith("my-model")
    assert (made["providerName"], made["isExternal"], made["online"]) == (name, True, "ONLINE")
    wrong = {"name": "x", "provider": "GOOGLE", "providerData": {"nvidia": {"externalModelId": "m", "endpoint": "e"}}}
    assert client.error(query, i=wrong)["extensions"] == {"code": "invalid", "field": "providerData"}


def test_a_providers_key_is_sealed(client: Client, server: ServerHandle) -> None:
    query = "mutation($i: AddExternalModelInput!) { addExternalModel(input: $i) { key } }"
    data = {"google": {"apiKey": "very-secret-key", "externalModelId": "m"}}
    client.gql(query, i={"name": "sealed", "provider": "GOOGLE", "providerData": data})
    from quintet.app.models.registry import find_model

    stored = server.core.read_now(server.admin, find_model, "sealed")
    assert "very-secret-key" not in repr(stored)
    assert set(stored.detail["upstream"]["api_key"]) == {"sealed"}


def test_models_are_filtered(client: Client) -> None:
    def keys(**filter: Any) -> list[str]:
        query = "query($f: ModelFilter!) { models(filter: $f) { key } }"
        return [m["key"] for m in client.gql(query, f=filter)["models"]]

    assert "alpha" in keys() and "alpha" in keys(kind=["Generation"], online=["ONLINE"], available=True)  # noqa: PT018
    assert keys(kind=["Embedding"]) == keys(inStorage=True) == keys(trainable=True) == []
    assert keys(online=["OFFLINE"]) == []


def test_a_model_shows_where_it_is_used(client: Client) -> None:
    found = client.gql('{ model(idOrKey: "alpha") { useCases { key } modelServices { useCaseId } backbone { id }'
                       ' metrics { key } } none: model(idOrKey: "none") { id } }')  # fmt: skip
    assert client.use_case in [c["key"] for c in found["model"]["useCases"]]
    assert found["none"] is None
    assert found["model"]["backbone"] is None


def test_deploying_and_ending_a_model(client: Client) -> None:
    assert client.gql('mutation { deployModel(idOrKey: "alpha", wait: true) }')["deployModel"] == "alpha"
    error = client.error('mutation { terminateModel(idOrKey: "alpha") }')
    assert error["extensions"]["field"] == "force"
    assert client.gql('mutation { terminateModel(idOrKey: "alpha", force: true) }')["terminateModel"] == "alpha"
    assert case(client)["modelServices"][0]["status"] == "TURNED_OFF"
    client.gql('mutation { deployModel(idOrKey: "alpha") }')
    assert case(client)["modelServices"][0]["status"] == "ONLINE"
    assert "served elsewhere" in client.error(
        'mutation { updateModelComputeConfig(idOrKey: "alpha", input: {tp: 2}) { id } }')["message"]  # fmt: skip


# -- metrics --------------------------------------------------------------------------------------------------


def test_metrics_are_linked_and_unlinked_as_often_as_one_likes(client: Client) -> None:
    metric = client.metric("SCALAR", scoringType="LOWER_IS_BETTER", description="d")
    variables = {"i": {"useCase": client.use_case, "metric": metric}}
    link = "mutation($i: MetricLink!) { linkMetric(input: $i) { key scoringType createdAt } }"
    unlink = "mutation($i: MetricUnlink!) { unlinkMetric(input: $i) }"
    for _ in range(2):
        linked = client.gql(link, **variables)["linkMetric"]
        assert (linked["key"], linked["scoringType"]) == (metric, "LOWER_IS_BETTER")
        assert linked["createdAt"].endswith("Z")
    assert case(client)["metrics"] == [{"key": metric}]
    for _ in range(2):
        assert client.gql(unlink, **variables)["unlinkMetric"] == metric
    assert case(client)["metrics"] == []
    found = client.gql("query($k: IdOrKey!) { metric(idOrKey: $k) { id description unit useCases { key }"
                       " hasDirectFeedbacks hasComparisonFeedbacks } }", k=metric)["metric"]  # fmt: skip
    assert (found["description"], found["useCases"], found["hasDirectFeedbacks"]) == ("d", [], False)
    by_id = client.gql("query($k: IdOrKey!) { metric(idOrKey: $k) { key } }", k=found["id"])
    assert by_id["metric"]["key"] == metric
    assert client.gql('{ metric(idOrKey: "none") { id } }')["metric"] is None


# -- people ---------------------------------------------------------------------------------------------------


def test_people_are_made_moved_and_deleted_by_email(client: Client) -> None:
    email = f"p{next(_numbers)}@example.org"
    query = "mutation($i: UserCreate!) { createUser(input: $i) { id teams { team { key } role { key } } } }"
    made = client.gql(query, i={"email": email, "name": "P", "teams": [{"team": "default", "role": "annotator"}]})
    assert made["createUser"]["teams"] == [{"team": {"key": "default"}, "role": {"key": "annotator"}}]
    moved = client.gql("mutation($i: TeamMemberSet!) { setTeamMember(input: $i) { user { teams { team { key } } }"
                       " team { key } role { key } } }",
                       i={"user": email, "team": "admin", "role": "read-only"})["setTeamMember"]  # fmt: skip
    assert (moved["team"]["key"], moved["role"]["key"], len(moved["user"]["teams"])) == ("admin", "read-only", 2)
    left = client.gql("mutation($i: TeamMemberRemove!) { removeTeamMember(input: $i) { teams { team { key } } } }",
                      i={"user": made["createUser"]["id"], "team": "default"})["removeTeamMember"]  # fmt: skip
    assert left["teams"] == [{"team": {"key": "admin"}}]
    issued = client.gql("mutation($u: IdOrKey!) { createApiKey(input: {user: $u}) { key } }", u=email)
    key = issued["createApiKey"]["key"]
    assert client.raw("{ me { email } }", key=key).json["data"]["me"]["email"] == email
    assert client.gql("mutation($u: IdOrKey!) { deleteUser(user: $u) { deleted } }", u=email)["deleteUser"]["deleted"]
    assert client.raw("{ me { email } }", key=key).status == 401
    error = client.error('mutation { deleteUser(user: "nobody") { id } }')
    assert error["message"] == "EntityNotFound: user 'nobody'"


def test_nobody_gives_more_than_they_have(client: Client) -> None:
    role = f"manager-{next(_numbers)}"
    mine = [Permission.USERS_MANAGE.value, Permission.PROJECT_READ.value]
    client.gql("mutation($i: RoleCreate!) { createRole(input: $i) { id } }",
               i={"name": role, "key": role, "permissions": mine})  # fmt: skip
    made = client.gql("mutation($i: UserCreate!) { createUser(input: $i) { email } }",
                      i={"email": f"{role}@example.org", "name": "m", "teams": [{"team": "default", "role": role}]})
    key = client.gql("mutation($u: IdOrKey!) { createApiKey(input: {user: $u}) { key } }",
                     u=made["createUser"]["email"])["createApiKey"]["key"]  # fmt: skip
    reply = client.raw("mutation($i: UserCreate!) { createUser(input: $i) { id } }", key=key,
                       i={"email": "x@example.org", "name": "x", "teams": [{"team": "admin", "role": "admin"}]})
    assert reply.json["errors"][0]["extensions"]["code"] == "forbidden"


def test_roles_teams_and_permissions_are_listed(client: Client) -> None:
    found = client.gql("{ roles { key permissions } teams { key } permissions meta { authProviders { providers {"
                       " key } } } computePools { id key capabilities harmonyGroups { id } } }")  # fmt: skip
    assert set(BUILTIN_ROLES) <= {r["key"] for r in found["roles"]}
    assert {"admin", "default"} <= {t["key"] for t in found["teams"]}
    assert set(found["permissions"]) == set(Permission)
    assert [p["key"] for p in found["computePools"]] == ["default"]
    assert found["meta"] == {"authProviders": {"providers": []}}


# -- jobs -----------------------------------------------------------------------------------------------------

JOB = (
    "{ id name status kind progress error createdAt startedAt endedAt durationMs createdBy { name } useCase { key }"
    " recipe { key jsonSchema } details { args recipeHash artifacts { id } } stages { name status stageId"
    " info { __typename } } }"
)


def start(client: Client, recipe: str, args: Any, **more: Any) -> Any:
    query = f"mutation($i: JobInput!) {{ createJob(input: $i) {JOB} }}"
    return client.gql(query, i={"recipe": recipe, "useCase": client.use_case, "args": args, "numGpus": 0, **more})


def test_a_job_is_queued_with_checked_arguments_and_cancelled(client: Client) -> None:
    dataset = client.upload([{"messages": [{"role": "user", "content": "a"}], "completion": "b"}], "train")
    args = {"model": "alpha", "dataset": "train", "epochs": 1}
    made = start(client, "sft", args, name="mine", computePool="default")["createJob"]
    assert (made["status"], made["kind"], made["name"], made["progress"]) == ("PENDING", "TRAINING", "mine", 0.0)
    assert made["recipe"]["key"] == "sft"
    assert made["details"]["args"]["model"] == "alpha"
    assert made["details"]["args"]["dataset"] != "train"
    assert [s["status"] for s in made["stages"]] == ["PENDING"] * len(made["stages"])
    assert made["createdBy"]["name"] == "Admin"
    page = client.gql(
        f"query($f: ListJobsFilterInput!) {{ jobs(filter: $f, page: {{first: 1}}) {{ totalCount nodes {JOB}"
        " pageInfo { hasNextPage endCursor } } }",
        f={"useCase": client.use_case, "status": ["PENDING"], "kind": ["TRAINING"], "customRecipes": ["sft"]},
    )["jobs"]
    assert (page["totalCount"], page["nodes"][0]["id"], page["pageInfo"]["hasNextPage"]) == (1, made["id"], False)
    gone = client.gql(f"mutation($i: UUID!) {{ cancelJob(id: $i) {JOB} }}", i=made["id"])["cancelJob"]
    assert gone["status"] == "CANCELED"
    assert client.gql(f"query($i: UUID!) {{ job(id: $i) {JOB} }}", i=made["id"])["job"]["status"] == "CANCELED"
    assert dataset.json["data"]["createDataset"]["records"] == 1


@pytest.mark.parametrize(
    ("recipe", "args", "more", "said"),
    [
        ("sft", {"model": "alpha"}, {}, "dataset"),
        ("sft", {"model": "alpha", "dataset": "x", "epoch": 1}, {}, "epoch"),
        ("sft", {"model": "alpha", "dataset": "x", "epochs": "many"}, {}, "epochs"),
        ("sft", {"model": "alpha", "dataset": "none"}, {}, "EntityNotFound: dataset 'none'"),
        ("magic", {}, {}, "EntityNotFound: recipe 'magic'"),
        ("sft", {}, {"computePool": "moon"}, "EntityNotFound: compute_pool 'moon'"),
        ("sft", {}, {"useCase": "none"}, "EntityNotFound: use_case 'none'"),
    ],
)
def test_bad_jobs_are_refused(client: Client, recipe: str, args: Any, more: Any, said: str) -> None:
    given = {"recipe": recipe, "useCase": client.use_case, "args": args, "numGpus": 0, **more}
    assert said in client.error("mutation($i: JobInput!) { createJob(input: $i) { id } }", i=given)["message"]


def test_recipes_have_schemas_that_strict_clients_read(client: Client) -> None:
    fields = "id key builtin global editable content contentHash jsonSchema"
    query = f"query($u: IdOrKey!) {{ customRecipes(useCase: $u) {{ {fields} }} }}"
    found = client.gql(query, u=client.use_case)["customRecipes"]
    assert {"sft", "dpo", "evaluate", "pretrain"} <= {r["key"] for r in found}
    for recipe in found:
        schema = recipe["jsonSchema"]
        assert isinstance(schema["required"], list)
        for name, entry in schema["properties"].items():
            assert isinstance(entry["type"], str), name
            assert "description" in entry, name
        assert (recipe["builtin"], recipe["editable"]) == (True, False)
    one = client.gql("query($u: IdOrKey!, $r: IdOrKey!) { customRecipe(idOrKey: $r, useCase: $u) { key } }",
                     u=client.use_case, r=found[0]["id"])["customRecipe"]  # fmt: skip
    assert one == {"key": found[0]["key"]}


# -- usage ----------------------------------------------------------------------------------------------------


def test_usage_adds_up_by_model_use_case_and_time(client: Client) -> None:
    client.chat("a b c", "alpha"), client.chat("d", "beta")
    model = client.gql('{ model(idOrKey: "beta") { id } }')["model"]["id"]
    found = client.gql(
        "query($m: UUID!) { modelUsage(filter: {modelId: $m, unit: DAY}) { bucketTs totalTokens interactions }"
        " modelUsageByUseCase(filter: {modelId: $m}) { useCase { key } modelService { key } interactions }"
        " globalUsage(filter: {interval: MONTH, timezone: \"Europe/Paris\"}) { total { totalTokens interactions }"
        " adaptiveModels { interactions } externalModels { interactions } signature"
        " byModel { model { key } interactions timeseries { interactions } } } }", m=model,
    )  # fmt: skip
    mine = [u for u in found["modelUsageByUseCase"] if u["useCase"]["key"] == client.use_case]
    assert mine == [{"useCase": {"key": client.use_case}, "modelService": {"key": "beta"}, "interactions": 1}]
    world = found["globalUsage"]
    assert world["total"]["interactions"] == world["externalModels"]["interactions"] > 1
    assert world["adaptiveModels"]["interactions"] == 0
    assert sum(b["interactions"] for b in found["modelUsage"]) == next(
        m["interactions"] for m in world["byModel"] if m["model"]["key"] == "beta")  # fmt: skip
    error = client.error('{ globalUsage(filter: {interval: DAY, timezone: "Moon/Crater"}) { signature } }')
    assert error["extensions"]["field"] == "timezone"


def test_a_use_case_shows_how_busy_it_is(client: Client) -> None:
    metric = client.metric("SCALAR")
    for value in (1, 4):
        client.rest("feedback", {"metric": metric, "completion_id": client.said(), "value": value}, 201)
    found = client.gql(
        "query($u: IdOrKey!) { useCase(idOrKey: $u) { activity { interactions { value perSecond trend } feedbacks {"
        " value trend } } modelServices { key activity { interactions { value } feedbacks { value } } } metrics { key"
        " activityless: feedbackCount trend(input: {}) { current }"
        " timeseries(input: {interval: DAY, aggregation: SUM, byModel: true}) { model { key } count values } } } }",
        u=client.use_case,
    )["useCase"]
    assert found["activity"]["interactions"]["value"] == 2
    assert found["activity"]["interactions"]["trend"] is None
    assert found["activity"]["feedbacks"] == {"value": 2, "trend": None}
    assert {s["key"]: s["activity"]["interactions"]["value"] for s in found["modelServices"]} == {"alpha": 2, "beta": 0}
    assert found["metrics"][0]["timeseries"] == [{"model": {"key": "alpha"}, "count": [2], "values": [5.0]}]
    assert found["metrics"][0]["activityless"] == 2


def test_every_enum_of_the_core_has_a_name_in_the_contract() -> None:
    from graphql import GraphQLEnumType, build_schema

    from quintet.dialects.adaptive.contract import sdl
    from quintet.domain.data import DatasetKind, DatasetSource
    from quintet.domain.interactions import Direction, ExperimentState, InteractionSource, MetricKind
    from quintet.domain.models import DeploymentState, ModelKind
    from quintet.domain.runs import RunKind, RunState, StageState

    types = build_schema(sdl()).type_map
    for mapping, kind, name, without in (
        (enums.METRIC_KIND, MetricKind, "MetricKind", ()),
        (enums.DIRECTION, Direction, "MetricScoringType", ()),
        (enums.SOURCE, InteractionSource, "CompletionSource", ()),
        (enums.MODEL_KIND, ModelKind, "ModelKindFilter", ()),
        (enums.ONLINE, DeploymentState, "ModelOnline", ()),
        (enums.DATASET_KIND, DatasetKind, "DatasetKind", (DatasetKind.FILES,)),
        (enums.DATASET_SOURCE, DatasetSource, "DatasetSource", ()),
        (enums.CAMPAIGN_STATE, ExperimentState, "AbcampaignStatus", ()),
        (enums.JOB_STATE, RunState, "JobStatus", ()),
        (enums.STAGE_STATE, StageState, "JobStatusOutput", ()),
        (enums.JOB_KIND, RunKind, "JobKind", ()),
    ):
        known = types[name]
        assert isinstance(known, GraphQLEnumType)
        assert set(mapping) == set(kind) - set(without), name
        assert set(mapping.values()) <= set(known.values), name
