"""Events: in by batches, out as charts, points, logs, plots and images."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.dialects.clearml.conftest import Api
from tests.support.servers import ServerHandle

from quintet.app.events import report
from quintet.domain.events import LogLine
from quintet.domain.ids import Kind, from_hex32
from quintet.domain.series import PointBatch

SINGLE = -(2**31)


def scalar(task: str, iteration: int, value: float, **more: Any) -> dict[str, Any]:
    return {
        "type": "training_stats_scalar", "task": task, "metric": "loss", "variant": "train", "iter": iteration,
        "value": value, "timestamp": 1_700_000_000_000 + iteration, "method": "get", "allow_locked": False, **more,
    }  # fmt: skip


def test_scalars_come_back_as_a_chart_and_as_roll_ups(api: Api) -> None:
    task = api.running()
    done = api.batch(*(scalar(task, i, 1.0 / (i + 1)) for i in range(4)))
    assert done == {"added": 4, "errors": 0, "errors_info": {}}
    chart = api("events.scalar_metrics_iter_histogram", task=task, key="iter")
    assert chart == {"loss": {"train": {"name": "train", "x": [0, 1, 2, 3], "y": [1.0, 0.5, 1 / 3, 0.25]}}}
    found = api.get(task)
    assert found["last_iteration"] == 3
    ((_, variants),) = found["last_metrics"].items()
    ((_, last),) = variants.items()
    assert (last["metric"], last["variant"], last["value"]) == ("loss", "train", 0.25)
    assert (last["min_value"], last["min_value_iteration"], last["max_value"]) == (0.25, 3, 1.0)
    assert (last["first_value"], last["count"], last["mean_value"]) == (1.0, 4, 0.52)


@pytest.mark.parametrize(
    ("key", "expected"),
    [("timestamp", 1_700_000_000_000), ("iso_time", "2023-11-14T22:13:20.000Z")],
)
def test_a_chart_over_time(api: Api, key: str, expected: Any) -> None:
    task = api.running()
    api.batch(scalar(task, 0, 1.0))
    assert api("events.scalar_metrics_iter_histogram", task=task, key=key)["loss"]["train"]["x"] == [expected]


def test_a_point_reported_again_replaces_the_first(api: Api) -> None:
    task = api.running()
    api.batch(scalar(task, 0, 1.0), scalar(task, 1, 2.0))
    api.batch(scalar(task, 0, 5.0))
    chart = api("events.scalar_metrics_iter_histogram", task=task)
    assert chart["loss"]["train"]["y"] == [5.0, 2.0]


def test_long_series_are_sampled_to_the_number_asked_for(api: Api) -> None:
    task = api.running()
    api.batch(*(scalar(task, i, float(i)) for i in range(1_000)))
    chart = api("events.scalar_metrics_iter_histogram", task=task, samples=10)
    assert 5 <= len(chart["loss"]["train"]["x"]) <= 11


def test_a_chart_of_several_tasks_names_them(api: Api) -> None:
    one, two = api.running(), api.running()
    api.batch(scalar(one, 0, 1.0), scalar(two, 0, 2.0))
    lines = api("events.multi_task_scalar_metrics_iter_histogram", tasks=[one, two])["metrics"]["loss"]["train"]
    assert {t: line["y"] for t, line in lines.items()} == {one: [1.0], two: [2.0]}
    assert lines[one]["name"] == "a task"


def test_single_values_are_apart_from_charts(api: Api) -> None:
    task = api.running()
    api.batch(scalar(task, SINGLE, 0.5, metric="Summary", variant="acc"))
    api.batch(scalar(task, SINGLE, 0.9, metric="Summary", variant="acc"))
    (found,) = api("events.get_task_single_value_metrics", tasks=[task])["tasks"]
    assert (found["task"], found["task_name"]) == (task, "a task")
    assert [(v["metric"], v["variant"], v["value"]) for v in found["values"]] == [("Summary", "acc", 0.9)]
    assert api("events.scalar_metrics_iter_histogram", task=task) == {}
    assert api.get(task)["last_iteration"] == 0


def test_monitoring_does_not_move_the_last_iteration(api: Api) -> None:
    task = api.running()
    api.batch(scalar(task, 500, 1.0, metric=":monitor:machine"), scalar(task, 2, 1.0))
    assert api.get(task)["last_iteration"] == 2


def test_all_points_page_by_iteration_until_nothing_is_left(api: Api) -> None:
    task = api.running()
    api.batch(*(scalar(task, i, float(i), variant=v) for i in range(7) for v in ("a", "b")))
    seen: list[tuple[int, str]] = []
    scroll, pages = None, 0
    while True:
        page = api("events.get_task_events", task=task, event_type="training_stats_scalar", batch_size=5, order="asc",
                   scroll_id=scroll)  # fmt: skip
        assert page["returned"] == len(page["events"])
        if not page["events"]:
            break
        seen += [(e["iter"], e["variant"]) for e in page["events"]]
        scroll, pages = page["scroll_id"], pages + 1
    assert sorted(seen) == sorted((i, v) for i in range(7) for v in ("a", "b"))
    assert pages > 1


def test_latest_scalar_values(api: Api) -> None:
    task = api.running()
    api.batch(scalar(task, 0, 1.0), scalar(task, 1, 3.0))
    (metric,) = api("events.get_task_latest_scalar_values", task=task)["metrics"]
    assert metric["name"] == "loss"
    assert metric["variants"][0]["last_value"] == 3.0


# -- what is wrong in a batch ---------------------------------------------------------------------------------------


def test_bad_events_are_counted_and_the_good_ones_kept(api: Api) -> None:
    task = api.running()
    done = api.batch(
        scalar(task, 0, 1.0),
        scalar("0" * 32, 0, 1.0),
        scalar(task, 1, 1.0, type="nonsense"),
        {**scalar(task, 2, 1.0), "value": "high"},
        {**scalar(task, 3, 1.0), "value": None},
        {**scalar(task, 4, 1.0), "iter": 2**70},
        {**scalar(task, 5, 1.0), "metric": "m" * 2_000},
    )
    assert (done["added"], done["errors"]) == (1, 6)
    assert sum(done["errors_info"].values()) == 6
    assert any("value" in reason for reason in done["errors_info"])


def test_a_batch_without_any_good_event_is_refused(api: Api) -> None:
    reply = api.raw_batch(json.dumps(scalar("0" * 32, 0, 1.0)).encode())
    assert (reply.status, reply.json["meta"]["result_subcode"]) == (400, 131)


@pytest.mark.parametrize("raw", [b'{"type": "log"\n', b"[1, 2]", b'"text"', b'{"a": 1}\nnot json', b"\xff\xfe"])
def test_a_body_that_is_no_batch_of_objects_is_refused(api: Api, raw: bytes) -> None:
    assert api.raw_batch(raw).status == 400


def test_an_empty_batch_is_refused(api: Api) -> None:
    reply = api.raw_batch(b"")
    assert (reply.status, reply.json["meta"]["result_subcode"]) == (400, 17)


def test_a_json_array_is_a_batch_too(api: Api) -> None:
    task = api.running()
    raw = json.dumps([scalar(task, 0, 1.0), scalar(task, 1, 2.0)]).encode()
    assert api.raw_batch(raw, **{"Content-Type": "application/json"}).json["data"]["added"] == 2


def test_a_published_task_takes_events_only_where_the_client_insists(api: Api) -> None:
    task = api.running()
    api("tasks.completed", task=task, publish=True)
    assert api.raw_batch(json.dumps(scalar(task, 0, 1.0)).encode()).status == 400
    assert api.batch(scalar(task, 0, 1.0, allow_locked=True))["added"] == 1


def test_a_task_of_another_space_is_not_there(api: Api) -> None:
    assert api.raw_batch(json.dumps(scalar("0" * 24 + "07000000", 0, 1.0)).encode()).status == 400


def test_one_event_alone(api: Api) -> None:
    task = api.running()
    assert api("events.add", **scalar(task, 0, 1.0))["added"] == 1
    assert api.refused("events.add", type="log", task=task, timestamp="noon") == (400, 12)


# -- logs -----------------------------------------------------------------------------------------------------------


def log(task: str, at: int, msg: str) -> dict[str, Any]:
    return {"type": "log", "task": task, "timestamp": at, "level": "info", "worker": "host", "msg": msg}


def test_log_pages_back_from_the_newest(api: Api) -> None:
    task = api.running()
    api.batch(*(log(task, 1_000 + i, f"line {i}") for i in range(5)))
    page = api("events.get_task_log", task=task, batch_size=2)
    assert [e["msg"] for e in page["events"]] == ["line 4", "line 3"]
    assert (page["returned"], page["total"]) == (2, 5)
    last = page["events"][-1]["timestamp"]
    assert [e["msg"] for e in api("events.get_task_log", task=task, batch_size=2, from_timestamp=last)["events"]] == [
        "line 2",
        "line 1",
    ]
    newer = api("events.get_task_log", task=task, from_timestamp=last, navigate_earlier=False)
    assert [e["msg"] for e in newer["events"]] == ["line 4"]
    assert [e["msg"] for e in api("events.get_task_log", task=task, batch_size=2, order="asc")["events"]] == [
        "line 3",
        "line 4",
    ]


def test_the_host_header_names_the_worker_of_a_line(api: Api) -> None:
    task = api.running()
    line = {**log(task, 1, "x"), "worker": None}
    api.raw_batch(json.dumps(line).encode(), **{"X-ClearML-Worker": "box"})
    assert api("events.get_task_log", task=task)["events"][0]["worker"] == "box"


def test_what_our_own_worker_reports_is_read_like_what_clients_report(server: ServerHandle, api: Api) -> None:
    task = api.running()
    run_id = from_hex32(task, Kind.RUN)
    assert run_id is not None
    points = PointBatch.of([("train", "loss", i, i, 1.0 / (i + 1)) for i in range(3)])
    server.core.write_now(server.admin, report.report_points, run_id, points)
    server.core.write_now(server.admin, report.report_logs, run_id, [LogLine(5, "info", "worker", "step 1")])
    assert api("events.scalar_metrics_iter_histogram", task=task)["train"]["loss"]["x"] == [0, 1, 2]
    assert api("events.get_task_log", task=task)["events"][0]["msg"] == "step 1"


# -- plots and images -------------------------------------------------------------------------------------------------


def plot(task: str, iteration: int, text: str, **more: Any) -> dict[str, Any]:
    return {"type": "plot", "task": task, "metric": "cm", "variant": "v", "iter": iteration, "plot_str": text, **more}


def test_plots_of_the_last_iterations(api: Api) -> None:
    task = api.running()
    figure = json.dumps({"data": [{"z": [[1, 2]] * 20_000}], "layout": {}})
    api.batch(plot(task, 0, "{}"), plot(task, 1, figure))
    found = api("events.get_task_plots", task=task, iters=1)
    assert [p["plot_str"] for p in found["plots"]] == [figure]
    assert found["scroll_id"] is None
    assert api("events.get_task_plots", task=task, iters=5)["returned"] == 2
    assert api("events.get_task_plots", task=task, metrics=[{"metric": "other"}])["plots"] == []


def image(task: str, iteration: int, url: str) -> dict[str, Any]:
    return {"type": "training_debug_image", "task": task, "metric": "img", "variant": "s", "iter": iteration,
            "key": url, "url": f"http://files/{url}"}  # fmt: skip


def test_images_page_to_older_iterations_until_there_are_none(api: Api) -> None:
    task = api.running()
    api.batch(*(image(task, i, f"{i}.png") for i in range(5)))
    scroll, seen = None, []
    for _ in range(4):
        page = api("events.debug_images", metrics=[{"task": task, "metric": "img"}], iters=2, scroll_id=scroll)
        (one,) = page["metrics"]
        if not one["iterations"]:
            break
        seen += [group["iter"] for group in one["iterations"]]
        scroll = page["scroll_id"]
    else:
        pytest.fail("the pages never end")
    assert seen == [4, 3, 2, 1, 0]
    (one,) = api("events.debug_images", metrics=[{"task": task, "metric": "img"}])["metrics"]
    assert one["iterations"][0]["events"][0]["url"] == "http://files/4.png"


def test_a_foreign_scroll_id_is_refused(api: Api) -> None:
    task = api.running()
    metrics = [{"task": task, "metric": "img"}]
    assert api.refused("events.debug_images", metrics=metrics, scroll_id="foreign") == (400, 1104)
    assert api.refused("events.get_task_events", task=task, scroll_id="foreign") == (400, 1104)
