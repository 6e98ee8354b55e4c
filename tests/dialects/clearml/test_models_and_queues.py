"""Models, projects, queues and workers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dialects.clearml.conftest import Api

UNKNOWN = "0" * 32


def model(api: Api, name: str = "a model", /, **fields: Any) -> str:
    return str(api("models.create", **{"name": name, "uri": "http://x/w.bin", "ready": False, **fields})["id"])


def test_a_model_comes_back_with_its_default_document(api: Api) -> None:
    ident = model(api, "whole", labels={"cat": 1}, design={"design": "d"}, comment="c", tags=["t"], framework="PyTorch")
    found = api("models.get_by_id", model=ident)["model"]
    assert (found["name"], found["uri"], found["ready"]) == ("whole", "http://x/w.bin", False)
    assert (found["labels"], found["design"], found["comment"]) == ({"cat": 1}, {"design": "d"}, "c")
    assert (found["metadata"], found["system_tags"], found["last_metrics"]) == ({}, [], {})


def test_create_says_created_as_a_boolean_and_is_ready_unless_told(api: Api) -> None:
    made = api("models.create", name="ready one", uri="x")
    assert made["created"] is True
    assert api("models.get_by_id", model=made["id"])["model"]["ready"] is True


def test_a_published_model_keeps_what_defines_it(api: Api) -> None:
    ident = model(api)
    api("models.set_ready", model=ident)
    assert api.refused("models.edit", model=ident, uri="other") == (400, 203)
    assert api.refused("models.set_ready", model=ident) == (400, 203)
    api("models.edit", model=ident, comment="still editable")
    assert api.refused("models.delete", model=ident) == (400, 203)
    assert api("models.delete", model=ident, force=True) == {"deleted": True, "url": "http://x/w.bin"}


def test_publishing_a_model_publishes_the_task_that_made_it(api: Api) -> None:
    task = api.running()
    ident = model(api, task=task)
    api("tasks.completed", task=task)
    done = api("models.set_ready", model=ident, publish_task=True)
    assert done["published_task"]["id"] == task
    assert api.get(task)["status"] == "published"


def test_models_are_linked_to_tasks_by_name(api: Api) -> None:
    task = api.running()
    first, second = model(api), model(api)
    api("tasks.add_or_update_model", task=task, name="out", model=first, type="output", iteration=7)
    api("tasks.add_or_update_model", task=task, name="out", model=second, type="output")
    api("tasks.add_or_update_model", task=task, name="base", model=first, type="input")
    found = api.get(task)
    assert found["models"]["input"] == [{"name": "base", "model": first}]
    assert found["models"]["output"] == [{"name": "out", "model": second}]
    assert found["last_iteration"] == 7
    assert api("models.get_by_id", model=second)["model"]["task"] == task
    api("tasks.delete_models", task=task, models=[{"name": "out", "type": "output"}])
    assert api.get(task)["models"]["output"] == []


def test_the_model_of_a_task_is_made_once_and_then_changed(api: Api) -> None:
    task = api.running()
    made = api("models.update_for_task", task=task, uri="http://x/1")
    assert made["created"] is True
    again = api("models.update_for_task", task=task, uri="http://x/2")
    assert (again["id"], again["created"], again["updated"]) == (made["id"], False, 1)
    assert api("models.get_by_id", model=made["id"])["model"]["uri"] == "http://x/2"
    assert [m["model"] for m in api.get(task)["models"]["output"]] == [made["id"]]


def test_metadata_of_a_model(api: Api) -> None:
    ident = model(api)
    items = [{"key": "a", "type": "str", "value": "1"}, {"key": "b", "type": "int", "value": "2"}]
    api("models.add_or_update_metadata", model=ident, metadata=items)
    api("models.delete_metadata", model=ident, keys=["a"])
    assert api("models.get_by_id", model=ident)["model"]["metadata"] == {"b": items[1]}
    api("models.add_or_update_metadata", model=ident, metadata=items[:1], replace_metadata=True)
    assert list(api("models.get_by_id", model=ident)["model"]["metadata"]) == ["a"]


def test_queries_of_models(api: Api) -> None:
    project = api("projects.create", name="model queries")["id"]
    one = model(api, "find me", project=project, tags=["x"], uri="http://x/one")
    two = model(api, "find me too", project=project, tags=["x", "y"], framework="Keras")
    api("models.add_or_update_metadata", model=one, metadata=[{"key": "k.1", "type": "str", "value": "v"}])
    api("models.archive_many", ids=[two])

    def ask(**query: Any) -> list[str]:
        return [m["id"] for m in api("models.get_all", **{"project": [project], **query})["models"]]

    assert ask() == [one, two]
    assert ask(order_by=["-created"]) == [two, one]
    assert ask(name="^find me$") == [one]
    assert ask(system_tags=["-archived"]) == [one]
    assert ask(tags=["x", "-y"]) == [one]
    assert ask(uri=["http://x/one"]) == [one]
    assert ask(framework=["Keras"]) == [two]
    assert ask(ready=False) == [one, two]
    assert ask(**{"metadata.k%2E1.value": ["v"]}) == [one]
    assert ask(page=1, page_size=1) == [two]
    assert ask(_all_={"fields": ["name"], "pattern": "TOO"}) == [two]
    found = api("models.get_all", id=[one], only_fields=["name", "uri"])["models"]
    assert found == [{"id": one, "name": "find me", "uri": "http://x/one"}]
    api("models.unarchive_many", ids=[two])
    assert ask(system_tags=["-archived"]) == [one, two]


# -- projects -------------------------------------------------------------------------------------------------------


def test_a_project_makes_its_parents(api: Api) -> None:
    ident = api("projects.create", name="tree/of/names", description="d", default_output_destination="s3://b")["id"]
    found = api("projects.get_by_id", project=ident)["project"]
    assert (found["name"], found["basename"], found["description"]) == ("tree/of/names", "names", "d")
    assert found["default_output_destination"] == "s3://b"
    above = api("projects.get_all", name="^tree/of$")["projects"]
    assert [p["id"] for p in above] == [found["parent"]]
    assert api.refused("projects.create", name="tree/of/names") == (400, 801)


def test_names_of_projects_are_found_exactly_or_by_pattern(api: Api) -> None:
    for name in ("pat.tern+1", "patXtern", "pat/.datasets/one"):
        api("projects.create", name=name, system_tags=["hidden"] if ".datasets" in name else [])

    def names(**query: Any) -> list[str]:
        return sorted(p["name"] for p in api("projects.get_all", **query)["projects"])

    assert names(name=r"^pat\.tern\+1$") == ["pat.tern+1"]
    assert names(name="^pat.?tern") == ["pat.tern+1", "patXtern"]
    assert names(name="^pat/.*", search_hidden=True) == ["pat/.datasets", "pat/.datasets/one"]
    assert "pat/.datasets/one" not in names(name="^pat/.*")
    assert names(name="^pat", shallow_search=True) == ["pat", "pat.tern+1", "patXtern"]
    assert api("projects.get_all", name=r"^patXtern$", only_fields=["id"])["projects"][0].keys() == {"id"}
    assert api.refused("projects.get_all", name="(") == (400, 21)


def test_a_project_is_renamed_in_place_only(api: Api) -> None:
    ident = api("projects.create", name="rename/it was")["id"]
    below = api("projects.create", name="rename/it was/below")["id"]
    assert api.refused("projects.update", project=ident, name="elsewhere/it was") == (400, 408)
    api("projects.update", project=ident, name="rename/it is", system_tags=["hidden"], tags=["t"])
    assert api("projects.get_by_id", project=below)["project"]["name"] == "rename/it is/below"
    assert api("projects.get_by_id", project=ident)["project"]["system_tags"] == ["hidden"]


# -- queues and workers -----------------------------------------------------------------------------------------------


def test_there_is_one_default_queue(api: Api) -> None:
    named = api("queues.get_all", name="^default$", only_fields=["id"])["queues"]
    assert named == [{"id": api("queues.get_default")["id"]}]


def test_enqueue_and_dequeue_restore_the_state(api: Api) -> None:
    queue = api("queues.create", name="restore")["id"]
    task = api.task(system_tags=["development"])
    done = api("tasks.enqueue", task=task, queue=queue, verify_watched_queue=True)
    assert (done["queued"], done["updated"], done["queue_watched"]) == (1, 1, False)
    found = api.get(task)
    assert (found["status"], found["execution"]["queue"], found["system_tags"]) == ("queued", queue, [])
    assert api.refused("tasks.enqueue", task=task, queue=queue) == (400, 706)
    assert api("queues.get_num_entries", queue=queue) == {"num": 1}
    assert api("queues.get_by_id", queue=queue)["queue"]["entries"][0]["task"] == task
    assert api("tasks.dequeue", task=task)["dequeued"] == 1
    assert api.get(task)["status"] == "created"
    assert api("tasks.dequeue", task=task) == {"dequeued": 1, "updated": 0}
    assert api("tasks.dequeue", task=UNKNOWN)["updated"] == 0


def test_enqueue_by_a_new_name_makes_the_queue_and_by_an_unknown_id_does_not(api: Api) -> None:
    task = api.task()
    api("tasks.enqueue", task=task, queue_name="made by name")
    assert len(api("queues.get_all", name="^made by name$")["queues"]) == 1
    assert api.refused("tasks.enqueue", task=api.task(), queue=UNKNOWN) == (400, 701)
    assert api.refused("queues.get_by_id", queue="default") == (400, 701)


def test_a_completed_task_is_enqueued_by_force_only(api: Api) -> None:
    task = api.running()
    api("tasks.completed", task=task)
    assert api.refused("tasks.enqueue", task=task) == (400, 110)
    assert api("tasks.enqueue", task=task, force=True)["queued"] == 1


def test_an_agent_gets_each_task_once_in_order(api: Api) -> None:
    queue = api("queues.create", name="agents")["id"]
    first, second, third = (api.task(f"task {n}") for n in range(3))
    for task in (first, second, third):
        api("tasks.enqueue", task=task, queue=queue)
    assert api("queues.move_task_to_front", queue=queue, task=third) == {"position": 0}
    assert api("queues.peek_task", queue=queue) == {"task": third}
    assert api("queues.get_next_task", queue=queue, task=first) == {}
    taken = [api("queues.get_next_task", queue=queue)["entry"]["task"] for _ in range(3)]
    assert taken == [third, first, second]
    assert api("queues.get_next_task", queue=queue) == {}


def test_a_task_put_in_and_taken_out_keeps_its_status(api: Api) -> None:
    queue, task = api("queues.create", name="by hand")["id"], api.task()
    assert api("queues.add_task", queue=queue, task=task) == {"added": 1}
    assert api("queues.remove_task", queue=queue, task=task) == {"removed": 1}
    assert api.refused("queues.remove_task", queue=queue, task=task) == (400, 703)
    assert api.get(task)["status"] == "created"


@pytest.mark.parametrize("force", [False, True])
def test_a_queue_with_tasks_is_deleted_by_force_only(api: Api, force: bool) -> None:
    queue = api("queues.create", name=f"full {force}")["id"]
    task = api.task()
    api("tasks.enqueue", task=task, queue=queue)
    if not force:
        assert api.refused("queues.delete", queue=queue) == (400, 702)
        return
    assert api("queues.delete", queue=queue, force=True) == {"deleted": 1}
    assert api.get(task)["status"] == "created"


def test_workers_register_report_and_leave(api: Api) -> None:
    queue = api("queues.create", name="watched")["id"]
    task = api.running()
    api("workers.register", worker="box:0", timeout=60, queues=[queue], tags=["gpu"])
    api("workers.status_report", worker="box:0", timestamp=1, task=task, queues=None, machine_stats={"cpu_usage": [1]})
    (found,) = api("workers.get_all", worker_pattern="box*", last_seen=3600)["workers"]
    assert (found["id"], found["tags"], found["task"]["id"]) == ("box:0", ["gpu"], task)
    assert [(q["id"], q["name"], q["num_tasks"]) for q in found["queues"]] == [(queue, "watched", 0)]
    assert api.get(task)["last_worker"] == "box:0"
    assert api("workers.get_all", tags=["-gpu"], worker_pattern="box*")["workers"] == []
    assert api("workers.get_count", worker_pattern="box*") == {"count": 1}
    api("workers.unregister", worker="box:0")
    assert api("workers.get_all", worker_pattern="box*")["workers"] == []
    api("workers.unregister", worker="never there")
    assert api.refused("workers.status_report", worker="box:1", timestamp=1, task=UNKNOWN) == (400, 101)
