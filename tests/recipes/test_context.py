"""What a recipe can do with its context, against a server in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from quintet.domain.errors import Invalid, NotFound, Unavailable
from quintet.recipes import RecipeContext
from quintet.recipes.client import Json
from quintet.recipes.sending import Progress, Sender
from quintet.recipes.testing import FakeRunClient


@pytest.fixture
def client(tmp_path: Path) -> FakeRunClient:
    return FakeRunClient(tmp_path / "server", datasets={"many": [{"n": n} for n in range(2500)]})


def context(client: FakeRunClient, tmp_path: Path, **more: object) -> RecipeContext:
    # An hour between sendings: whatever arrives in these tests was sent by a flush.
    return RecipeContext(client, tmp_path / "work", interval=3600, **more)  # type: ignore[arg-type]


def folder_of(tmp_path: Path, **files: str) -> Path:
    folder = tmp_path / "made"
    for name, text in files.items():
        target = folder / name.replace("__", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return folder


def test_many_points_travel_in_one_call_and_in_order(client: FakeRunClient, tmp_path: Path) -> None:
    ctx = context(client, tmp_path)
    for i in range(1000):
        ctx.metric("loss", "train", i / 2, iter=i)
    ctx.metric("loss", "train", float("nan"), iter=1000)
    assert client.points == []
    ctx.flush()
    assert client.calls.count("metrics") == 1
    assert client.series("loss", "train") == [(i, i / 2) for i in range(1000)]
    assert abs(client.points[0]["ts"] - time.time() * 1000) < 60_000
    ctx.close()


def test_stages_are_pending_then_running_then_done(client: FakeRunClient, tmp_path: Path) -> None:
    ctx = context(client, tmp_path, stages=("read", "train"))
    with ctx.stage("read", total=4) as stage:
        stage.advance(2, rows=7)
        ctx.flush()
        assert client.stages == [
            {"name": "read", "state": "running", "done": 2, "total": 4, "info": {"rows": 7}},
            {"name": "train", "state": "pending", "done": 0, "total": None, "info": {}},
        ]
        assert client.share == 0.25
    with ctx.stage("train"):
        pass
    ctx.close()
    assert [s["state"] for s in client.stages] == ["done", "done"]
    assert client.stages[0]["done"] == 4
    assert client.share == 1.0


def test_a_stage_that_an_exception_leaves_is_an_error(client: FakeRunClient, tmp_path: Path) -> None:
    ctx = context(client, tmp_path)

    def fails() -> None:
        with ctx.stage("train", total=10) as stage:
            stage.advance(3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    ctx.close()
    assert client.stages == [{"name": "train", "state": "error", "done": 3, "total": 10, "info": {}}]


def test_progress_that_is_said_beats_that_of_stages(client: FakeRunClient, tmp_path: Path) -> None:
    ctx = context(client, tmp_path)
    with ctx.stage("train", total=10):
        ctx.progress(0.7)
        ctx.flush()
    assert client.share == 0.7
    ctx.close()


def test_dataset_rows_are_paged_through_to_the_end(client: FakeRunClient, tmp_path: Path) -> None:
    ctx = context(client, tmp_path)
    assert [row["n"] for row in ctx.dataset_rows("many")] == list(range(2500))
    assert client.calls.count("dataset_rows") == 3
    assert [row["n"] for row in ctx.dataset_rows("many", limit=1001)] == list(range(1001))
    assert list(ctx.dataset_rows("many", limit=0)) == []
    with pytest.raises(NotFound):
        next(ctx.dataset_rows("none"))


def test_the_next_page_is_fetched_while_one_is_read(client: FakeRunClient, tmp_path: Path) -> None:
    rows = context(client, tmp_path).dataset_rows("many")
    next(rows)
    deadline = time.monotonic() + 5
    while client.calls.count("dataset_rows") < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert client.calls.count("dataset_rows") == 2


def test_a_registered_model_is_loaded_from_where_it_lies(client: FakeRunClient, tmp_path: Path) -> None:
    ctx = context(client, tmp_path)
    made = ctx.register_model(folder_of(tmp_path, **{"config.json": "{}", "sub__x.bin": "abc"}), "base")
    assert (made.key, made.version) == ("base", 1)
    body = client.models["base"]["body"]
    assert [(f["path"], f["size"]) for f in body["files"]] == [("config.json", 2), ("sub/x.bin", 3)]
    assert len(body["files"][0]["sha256"]) == 64
    loaded = ctx.load_model_folder("base")
    assert (loaded.base / "sub/x.bin").read_text() == "abc"
    assert loaded.adapter is None
    assert "model_file" not in client.calls


def test_a_model_elsewhere_is_downloaded_with_its_backbone(client: FakeRunClient, tmp_path: Path) -> None:
    client.remote = True
    ctx = context(client, tmp_path)
    ctx.register_model(folder_of(tmp_path, **{"config.json": "{}"}), "base")
    ctx.register_model(folder_of(tmp_path / "a", **{"adapter.bin": "x"}), "tuned", "adapter", "base")
    loaded = ctx.load_model_folder("tuned")
    assert (loaded.base / "config.json").read_text() == "{}"
    assert loaded.adapter is not None
    assert (loaded.adapter / "adapter.bin").read_text() == "x"
    assert loaded.base_key == "base"
    assert tmp_path / "work" in loaded.base.parents


def test_a_model_without_weights_cannot_be_loaded(client: FakeRunClient, tmp_path: Path) -> None:
    client.add_model("api", folder_of(tmp_path, x="y"), format="upstream")
    with pytest.raises(Invalid, match="upstream"):
        context(client, tmp_path).load_model_folder("api")


def test_a_file_name_cannot_lead_out_of_the_folder(client: FakeRunClient, tmp_path: Path) -> None:
    client.remote = True
    client.add_model("evil", folder_of(tmp_path, x="y"))
    client.models["evil"]["files"] = [{"path": "../../etc/passwd", "size": 1}]
    with pytest.raises(Invalid, match="leads out"):
        context(client, tmp_path).load_model_folder("evil")


def test_a_checkpoint_is_kept_in_the_background_and_found_by_the_next_attempt(
    client: FakeRunClient, tmp_path: Path
) -> None:
    ctx = context(client, tmp_path)
    folder = folder_of(tmp_path, **{"weights.bin": "w"})
    ctx.checkpoint(folder, step=5, epoch=0.5, metrics={"train_loss": 1.0, "broken": float("nan")}, remove=True)
    ctx.flush()
    assert not folder.exists()
    (kept,) = client.checkpoints
    assert (kept["name"], kept["step"], kept["epoch"], kept["metrics"]) == ("step-5", 5, 0.5, {"train_loss": 1.0})
    assert context(client, tmp_path).checkpoint_folder() is None
    client.resume_from = {**kept, "files": ["weights.bin"]}
    again = context(client, tmp_path).checkpoint_folder()
    assert again is not None
    assert (again / "weights.bin").read_text() == "w"


def test_an_artifact_is_kept_with_its_hash(client: FakeRunClient, tmp_path: Path) -> None:
    path = folder_of(tmp_path, **{"plot.txt": "hello"}) / "plot.txt"
    context(client, tmp_path).artifact(path, "plot", "text", {"a": 1})
    kept = client.artifacts["plot"]
    assert (kept["size"], kept["type"], kept["metadata"]) == (5, "text", {"a": 1})
    assert (client.folder / kept["path"]).read_text() == "hello"


def test_a_failed_sending_is_raised_in_the_recipe(client: FakeRunClient, tmp_path: Path) -> None:
    class Broken(FakeRunClient):
        def metrics(self, points: object) -> None:
            raise Unavailable("gone")

    ctx = context(Broken(tmp_path), tmp_path)
    ctx.metric("loss", "train", 1.0, iter=0)
    with pytest.raises(Unavailable):
        ctx.flush()
    with pytest.raises(Unavailable):
        ctx.metric("loss", "train", 1.0, iter=1)


def test_points_are_taken_while_a_slow_server_is_busy(tmp_path: Path) -> None:
    busy, go_on = threading.Event(), threading.Event()

    class Slow(FakeRunClient):
        def metrics(self, points: Sequence[Json]) -> None:
            busy.set()
            assert go_on.wait(10)
            super().metrics(points)

    client = Slow(tmp_path)
    sender = Sender(client, lambda: Progress([], None), interval=0.001)
    sender.point({"iter": 0})
    assert busy.wait(10)
    for i in range(1, 500):
        sender.point({"iter": i})
    go_on.set()
    sender.close()
    assert [point["iter"] for point in client.points] == list(range(500))
    assert client.calls.count("metrics") == 2


def test_a_judge_is_asked_through_the_context(client: FakeRunClient, tmp_path: Path) -> None:
    client.replies = lambda body: f"{body['model']} heard {body['messages'][0]['content']}"
    answer = context(client, tmp_path).complete("judge", [{"role": "user", "content": "hi"}], max_tokens=3)
    assert answer.text == "judge heard hi"


def test_nothing_is_drawn_where_nobody_watches(
    client: FakeRunClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ctx = context(client, tmp_path)
    with ctx.stage("train", total=2) as stage:
        stage.advance()
        ctx.say("half")
    assert capsys.readouterr().out == "half\n"
