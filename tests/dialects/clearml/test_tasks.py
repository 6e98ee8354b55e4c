"""Tasks: default documents, editing by the merge rule, states, parameters, copies, queries and projections."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dialects.clearml.conftest import Api

UNKNOWN = "0" * 32


def test_a_new_task_has_the_default_document(api: Api) -> None:
    task = api.get(api.task("defaults"))
    assert task["status"] == "created"
    assert task["last_iteration"] == 0
    for name, empty in {
        "tags": [], "system_tags": [], "report_assets": [], "output": {}, "last_metrics": {}, "metric_stats": {},
        "hyperparams": {}, "configuration": {}, "runtime": {}, "container": {}, "models": {"input": [], "output": []},
        "execution": {"test_split": 0, "parameters": {}, "model_desc": {}, "model_labels": {}, "artifacts": []},
        "script": {"binary": "python", "repository": "", "entry_point": "", "requirements": {}},
    }.items():  # fmt: skip
        assert task[name] == empty, name
    assert task["created"].endswith("+00:00")
    assert len(task["created"]) == len("2025-01-01T00:00:00.123000+00:00")
    assert not {"started", "completed", "parent", "project"} & set(task)


def test_edit_merges_script_and_execution_and_replaces_the_rest(api: Api) -> None:
    task = api.task()
    section = {"lr": {"section": "General", "name": "lr", "value": "0.1", "type": "float"}}
    api("tasks.edit", task=task, script={"repository": "r", "diff": "d"}, execution={"model_labels": {"a": 1}},
        hyperparams={"General": section}, runtime={"a": 1}, configuration={"c": {"value": "1"}})  # fmt: skip
    api("tasks.edit", task=task, script={"diff": "e"}, execution={"framework": "x"}, output_dest="s3://b",
        hyperparams={"Args": {}}, runtime={"b": 2}, configuration={"d": {"value": "2"}})  # fmt: skip
    found = api.get(task)
    assert (found["script"]["repository"], found["script"]["diff"]) == ("r", "e")
    assert found["execution"]["model_labels"] == {"a": 1}
    assert found["execution"]["framework"] == "x"
    assert found["output"] == {"destination": "s3://b"}
    assert found["hyperparams"] == {}
    assert found["runtime"] == {"b": 2}
    assert found["configuration"] == {"d": {"name": "d", "value": "2"}}


def test_edit_after_the_start_needs_force(api: Api) -> None:
    task = api.running()
    assert api.refused("tasks.edit", task=task, comment="late") == (400, 110)
    assert api.get(task)["comment"] == ""
    api("tasks.edit", task=task, comment="late", force=True)
    assert api.get(task)["comment"] == "late"


def test_a_refused_edit_changes_nothing(api: Api) -> None:
    task = api.task()
    assert api.refused("tasks.edit", task=task, comment="half", parent=UNKNOWN) == (400, 101)
    assert api.get(task)["comment"] == ""


def test_update_changes_names_and_tags_in_any_state(api: Api) -> None:
    task = api.running()
    api("tasks.update", task=task, name="other name", tags=["x", "x", "y"], comment="c")
    found = api.get(task)
    assert (found["name"], found["tags"], found["comment"]) == ("other name", ["x", "y"], "c")


def test_states_follow_the_table(api: Api) -> None:
    task = api.task()
    assert api.refused("tasks.completed", task=task) == (400, 110)
    first = api("tasks.started", task=task, status_message="go")
    assert first["started"] == 1
    assert first["fields"]["status"] == "in_progress"
    assert api("tasks.started", task=task)["started"] == 0
    api("tasks.stopped", task=task, status_reason="enough")
    assert api.get(task)["status_reason"] == "enough"
    assert api("tasks.completed", task=task, publish=True)["published"] == 1
    found = api.get(task)
    assert found["status"] == "published"
    assert isinstance(found["active_duration"], int)
    assert found["published"]
    assert api.refused("tasks.started", task=task) == (400, 110)
    assert api("tasks.started", task=task, force=True)["updated"] == 1


def test_failed_keeps_the_reason(api: Api) -> None:
    task = api.running()
    api("tasks.failed", task=task, status_reason="Exception boom", status_message="trace")
    found = api.get(task)
    assert (found["status"], found["status_reason"], found["status_message"]) == ("failed", "Exception boom", "trace")


def test_ping_renews_the_last_update(api: Api) -> None:
    task = api.running()
    before = api.get(task)["last_update"]
    api("tasks.ping", task=task)
    assert api.get(task)["last_update"] > before


def test_stop_of_a_development_task_stops_it(api: Api) -> None:
    task = api.running(system_tags=["development"])
    assert api("tasks.stop", task=task)["fields"]["status"] == "stopped"


def test_stop_of_a_task_on_a_live_agent_asks_the_agent(api: Api) -> None:
    task = api.running()
    api("workers.status_report", worker="agent-1", timestamp=1, task=task)
    api("tasks.stop", task=task)
    found = api.get(task)
    assert (found["status"], found["status_message"]) == ("in_progress", "stopping")


def test_archive_and_back(api: Api) -> None:
    task = api.task()
    done = api("tasks.archive_many", ids=[task, UNKNOWN])
    assert done["succeeded"] == [{"id": task, "archived": True}]
    assert done["failed"][0]["error"]["codes"] == [400, 101]
    assert "archived" in api.get(task)["system_tags"]
    api("tasks.unarchive_many", ids=[task])
    assert "archived" not in api.get(task)["system_tags"]


def test_delete_needs_a_new_or_archived_task_or_force(api: Api) -> None:
    task = api.running()
    assert api.refused("tasks.delete", task=task) == (400, 123)
    assert api("tasks.delete", task=task, force=True)["deleted"] is True
    assert api.refused("tasks.get_by_id", task=task) == (400, 101)


def test_reset_forgets_results_and_keeps_the_script(api: Api) -> None:
    task = api.task(script={"diff": "print(1)"})
    api("tasks.started", task=task)
    api.batch({"type": "training_stats_scalar", "task": task, "metric": "m", "variant": "v", "iter": 3, "value": 1.0})
    api("tasks.add_or_update_artifacts", task=task, artifacts=[{"key": "a", "type": "json", "uri": "u"},
        {"key": "in", "type": "json", "uri": "u", "mode": "input"}])  # fmt: skip
    model = api("models.create", name="a draft", uri="x", ready=False, task=task)["id"]
    api("tasks.add_or_update_model", task=task, name="o", model=model, type="output")
    assert api("tasks.reset", task=task)["deleted_models"] == 1
    found = api.get(task)
    assert (found["status"], found["last_metrics"], found["last_iteration"]) == ("created", {}, 0)
    assert [a["key"] for a in found["execution"]["artifacts"]] == ["in"]
    assert found["models"]["output"] == []
    assert found["script"]["diff"] == "print(1)"
    assert "started" not in found
    api("tasks.reset", task=task, clear_all=True)
    assert "diff" not in api.get(task)["script"]


def test_clone_keeps_the_definition_and_none_of_the_results(api: Api) -> None:
    project = api("projects.create", name="clones/one")["id"]
    task = api.task("original", project=project, script={"diff": "d"}, tags=["t"], system_tags=["development"],
                    hyperparams={"General": {"lr": {"value": "1"}}})  # fmt: skip
    api("tasks.add_or_update_artifacts", task=task, artifacts=[{"key": "a", "type": "json"}])
    copy = api.get(api("tasks.clone", task=task, new_task_name="a copy")["id"])
    assert (copy["name"], copy["parent"], copy["project"], copy["status"]) == ("a copy", task, project, "created")
    assert copy["script"]["diff"] == "d"
    assert copy["hyperparams"]["General"]["lr"]["value"] == "1"
    assert copy["execution"]["artifacts"] == []
    assert copy["system_tags"] == []
    other = {"A": {"x": {"value": "2"}}}
    moved = api("tasks.clone", task=task, new_project_name="clones/two", new_task_hyperparams=other)
    assert moved["new_project"]["name"] == "clones/two"
    assert list(api.get(moved["id"])["hyperparams"]) == ["A"]


def test_hyperparams_by_item(api: Api) -> None:
    task = api.task()
    item = {"section": "General", "name": "lr", "value": "0.1", "type": "float", "description": "rate"}
    api("tasks.edit_hyper_params", task=task, hyperparams=[item, {"section": "General", "name": "n", "value": "1"}])
    api("tasks.edit_hyper_params", task=task, hyperparams=[{**item, "value": "0.2"}])
    found = api("tasks.get_hyper_params", tasks=[task])["params"][0]["hyperparams"]
    assert found == [{**item, "value": "0.2"}, {"section": "General", "name": "n", "value": "1"}]
    api("tasks.delete_hyper_params", task=task, hyperparams=[{"section": "General", "name": "n"}])
    api("tasks.edit_hyper_params", task=task, hyperparams=[{"section": "B", "name": "b"}], replace_hyperparams="all")
    assert list(api.get(task)["hyperparams"]) == ["B"]


def test_properties_may_change_at_any_time_and_nothing_else(api: Api) -> None:
    task = api.running()
    api("tasks.completed", task=task)
    note = {"section": "properties", "name": "note", "value": "good"}
    api("tasks.edit_hyper_params", task=task, hyperparams=[note])
    assert api.get(task)["hyperparams"]["properties"]["note"]["value"] == "good"
    other = {**note, "section": "General"}
    assert api.refused("tasks.edit_hyper_params", task=task, hyperparams=[other]) == (400, 110)


def test_requirements_are_a_part_of_the_script(api: Api) -> None:
    task = api.running()
    api("tasks.set_requirements", task=task, requirements={"pip": "numpy"})
    assert api.get(task)["script"]["requirements"] == {"pip": "numpy"}


def test_artifacts_are_added_replaced_and_removed(api: Api) -> None:
    task = api.running()
    first = {"key": "a", "type": "json", "uri": "http://x/a", "content_size": 5, "hash": "h",
             "timestamp": 1_700_000_000, "type_data": {"preview": "p"}, "mode": "output"}  # fmt: skip
    api("tasks.add_or_update_artifacts", task=task, artifacts=[first, {"key": "b", "type": "x"}], force=True)
    api("tasks.add_or_update_artifacts", task=task, artifacts=[{**first, "content_size": 6}], force=True)
    found = {a["key"]: a for a in api.get(task)["execution"]["artifacts"]}
    assert found["a"] == {**first, "content_size": 6}
    assert api("tasks.delete_artifacts", task=task, artifacts=[{"key": "a"}])["deleted"] == 1
    assert [a["key"] for a in api.get(task)["execution"]["artifacts"]] == ["b"]


# -- queries ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def named(server: Any) -> dict[str, str]:
    """Four tasks of one project: names to ids."""
    api = Api(server)
    project = api("projects.create", name="queries")["id"]
    below = api("projects.create", name="queries/below")["id"]
    found = {
        "one": api.task("alpha one", project=project, tags=["x", "y"], runtime={"version": "1.0"}),
        "two": api.task("alpha two", project=project, tags=["x"], comment="Needle",
                        hyperparams={"General": {"a.b": {"value": "10"}}}),
        "three": api.task("beta", project=project, tags=["z"], type="testing",
                          hyperparams={"General": {"a.b": {"value": "9"}}}),
        "four": api.task("alpha below", project=below, system_tags=["hidden"]),
    }  # fmt: skip
    api("tasks.started", task=found["three"])
    api.batch(*({"type": "training_stats_scalar", "task": found[n], "metric": "loss", "variant": "v", "iter": 0,
                 "value": v} for n, v in (("one", 3.0), ("two", 1.0), ("three", 2.0))))  # fmt: skip
    return {**found, "project": project, "below": below}


def ask(api: Api, named: dict[str, str], **query: Any) -> list[str]:
    """Which of the four tasks a query finds, in its order."""
    names = {ident: name for name, ident in named.items()}
    found = api("tasks.get_all", **{"project": [named["project"]], "order_by": ["created"], **query})["tasks"]
    return [names[t["id"]] for t in found]


QUERIES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["one", "two", "three"]),
    ({"name": "^alpha one$"}, ["one"]),
    ({"name": "alpha"}, ["one", "two"]),
    ({"name": "ALPHA"}, []),
    ({"tags": ["x"]}, ["one", "two"]),
    ({"tags": ["x", "z"]}, ["one", "two", "three"]),
    ({"tags": ["x", "-y"]}, ["two"]),
    ({"tags": ["__$all", "x", "y"]}, ["one"]),
    ({"tags": ["__$all", "x", "__$not", "y"]}, ["two"]),
    ({"tags": [None]}, []),
    ({"tags": []}, ["one", "two", "three"]),
    ({"tags": "z"}, ["three"]),
    ({"system_tags": ["-archived"]}, ["one", "two", "three"]),
    ({"filters": {"tags": {"any": {"include": ["y", "z"]}}}}, ["one", "three"]),
    ({"filters": {"tags": {"all": {"exclude": ["x"]}}}}, ["three"]),
    ({"status": ["in_progress"]}, ["three"]),
    ({"status": ["created", "queued"]}, ["one", "two"]),
    ({"type": ["testing"]}, ["three"]),
    ({"type": ["-testing"]}, ["one", "two"]),
    ({"_all_": {"fields": ["name", "comment"], "pattern": "NEEDLE|alpha"}}, ["two"]),
    ({"_any_": {"fields": ["name", "comment"], "pattern": "NEEDLE|beta"}}, ["two", "three"]),
    ({"search_text": "needle"}, ["two"]),
    ({"_or_": {"fields": ["last_update", "last_change"], "datetime": [">2001-01-01T00:00:00+00:00"]}},
     ["one", "two", "three"]),
    ({"created": ["2001-01-01T00:00:00", None]}, ["one", "two", "three"]),
    ({"last_update": ["<2001-01-01T00:00:00"]}, []),
    ({"hyperparams.General.a%2Eb.value": ["10"]}, ["two"]),
    ({"order_by": ["hyperparams.General.a%2Eb.value"]}, ["three", "two", "one"]),
    ({"order_by": ["-name"]}, ["three", "two", "one"]),
    ({"runtime.version": "1.0"}, ["one"]),
    ({"parent": [None]}, ["one", "two", "three"]),
    ({"page": 1, "page_size": 2}, ["three"]),
    ({"page": 0, "page_size": 2, "tags": ["__$all", "x"]}, ["one", "two"]),
    ({"start": 1, "size": 1}, ["two"]),
    ({"include_subprojects": True}, ["one", "two", "three"]),
    ({"include_subprojects": True, "search_hidden": True}, ["one", "two", "three", "four"]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), QUERIES, ids=[str(q)[:70] for q, _ in QUERIES])
def test_queries(api: Api, named: dict[str, str], query: dict[str, Any], expected: list[str]) -> None:
    assert ask(api, named, **query) == expected


def test_an_order_by_a_metric_ranks_tasks(api: Api, named: dict[str, str]) -> None:
    metrics = api.get(named["one"])["last_metrics"]
    (metric, variants), *_ = metrics.items()
    variant = next(iter(variants))
    path = f"last_metrics.{metric}.{variant}.value"
    assert ask(api, named, order_by=[path]) == ["two", "three", "one"]
    assert ask(api, named, order_by=[f"-{path}"]) == ["one", "three", "two"]
    assert ask(api, named, **{path: [1.5, 2.5]}) == ["three"]
    found = api("tasks.get_all", id=[named["one"]], only_fields=[f"last_metrics.{metric}.{variant}"])["tasks"][0]
    assert found["last_metrics"][metric][variant]["value"] == 3.0


def test_hidden_tasks_are_found_by_their_id(api: Api, named: dict[str, str]) -> None:
    assert [t["id"] for t in api("tasks.get_all", id=[named["four"]])["tasks"]] == [named["four"]]


def test_ids_of_nothing_find_nothing(api: Api) -> None:
    assert api("tasks.get_all", id=[UNKNOWN, "nonsense"])["tasks"] == []


PROJECTIONS: list[tuple[list[str], dict[str, Any]]] = [
    (["status", "id"], {"status": "created"}),
    (["runtime.version"], {"runtime": {"version": "1.0"}}),
    (["runtime.nothing"], {"runtime": {}}),
    (["execution.artifacts"], {"execution": {"artifacts": []}}),
    (["script.binary", "name"], {"script": {"binary": "python"}, "name": "alpha one"}),
    (["parent"], {}),
]


@pytest.mark.parametrize(("fields", "expected"), PROJECTIONS, ids=[str(f) for f, _ in PROJECTIONS])
def test_projections(api: Api, named: dict[str, str], fields: list[str], expected: dict[str, Any]) -> None:
    found = api("tasks.get_all", id=[named["one"]], only_fields=fields)["tasks"][0]
    assert found == {"id": named["one"], **expected}


def test_a_projection_may_leave_fields_out(api: Api, named: dict[str, str]) -> None:
    found = api("tasks.get_all", id=[named["one"]], only_fields=["-hyperparams", "-script.binary"])["tasks"][0]
    assert "hyperparams" not in found
    assert "binary" not in found["script"]
    assert found["name"] == "alpha one"
