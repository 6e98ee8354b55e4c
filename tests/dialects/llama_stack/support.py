"""What tests of this dialect share: a server with fake models, and a worker that only reports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.servers import ServerHandle, running_server

from quintet.app.evaluation.evaluate import Scores, record_scores
from quintet.app.models.versions import RegisterVersion, register_version
from quintet.app.projects.manage import CreateProject, create_project
from quintet.app.runs.parts import NewCheckpoint, add_checkpoint
from quintet.app.serving.deployments import CreateEndpoint, create_endpoint
from quintet.app.work.leases import LeasedRun, Outcome, finish, lease_next
from quintet.domain.models import ModelFormat

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello there you"}]


@contextmanager
def serving_server(folder: Path) -> Iterator[ServerHandle]:
    """A server of this dialect (and the runner's) with `echo`, `upper`, `broken`, `vectors`, and `team/helper`."""
    # The other dialects have no part in this, and take seconds to load.
    with running_server(folder, dialects=("runner", "llama_stack")) as handle:
        handle.core.write_now(handle.admin, create_project, CreateProject("team"))
        endpoint(handle, "echo")
        endpoint(handle, "upper", config={"mode": "upper"})
        endpoint(handle, "broken", config={"fail": "unavailable"})
        endpoint(handle, "vectors", task="embedding")
        endpoint(handle, "helper", project="team")
        yield handle


def endpoint(server: ServerHandle, key: str, **fields: Any) -> None:
    wanted = CreateEndpoint(**{"key": key, "provider": "test", "upstream_model": key, "engine": "fake", **fields})
    server.core.write_now(server.admin, create_endpoint, wanted)


def registered(server: ServerHandle, name: str, format: ModelFormat = ModelFormat.TRANSFORMERS) -> None:
    """A model of the registry, whose files nobody will look at."""
    server.core.write_now(server.admin, register_version, RegisterVersion(model=name, format=format))


def dataset(server: ServerHandle, key: str, rows: list[dict[str, Any]], purpose: str = "eval/messages-answer") -> None:
    body = {"purpose": purpose, "source": {"type": "rows", "rows": rows}, "dataset_id": key}
    assert server.call("POST", "/v1beta/datasets", body).status == 200


def until(look: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What `look` gives as soon as it gives something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.01)
    return found


@dataclass(slots=True)
class Worker:
    """Takes runs and reports on them as a recipe would, without doing the work."""

    server: ServerHandle
    patience: float = 10.0

    def lease(self) -> LeasedRun:
        def take() -> LeasedRun | None:
            return self.server.core.write_now(self.server.admin, lease_next, "worker", ["default"], 60)

        leased = until(take, self.patience)
        assert isinstance(leased, LeasedRun)
        return leased

    def evaluate(self, accuracy: float) -> LeasedRun:
        """Carries out the next evaluation, with two rows."""
        leased = self.lease()
        result = {
            "generations": [{"generated_answer": "a"}, {"generated_answer": "b"}],
            "scores": {
                "basic::equality": {
                    "score_rows": [{"score": 1.0}, {"score": 0.0}],
                    "aggregated_results": {"accuracy": {"accuracy": accuracy, "num_correct": 1.0, "num_total": 2}},
                }
            },
        }
        scores = Scores({"accuracy": accuracy}, result, 2)
        record_scores(self.server.core, self.server.admin, leased.run.args["evaluation"], scores)
        self.end(leased)
        return leased

    def train(self) -> LeasedRun:
        """Carries out the next training: a checkpoint, and the model."""
        leased = self.lease()
        run = leased.run
        checkpoint = NewCheckpoint("step-2", 2, 1.0, "", {"train_loss": 0.5, "validation_loss": 0.6, "perplexity": 1.8})
        self.server.core.write_now(self.server.admin, add_checkpoint, run.id, checkpoint)
        made = RegisterVersion(model=run.args["output_model"], run_id=run.id, project_id=run.project_id)
        self.server.core.write_now(self.server.admin, register_version, made)
        self.end(leased)
        return leased

    def end(self, leased: LeasedRun, outcome: Outcome = Outcome.COMPLETED, reason: str = "") -> None:
        self.server.core.write_now(self.server.admin, finish, leased.run.id, leased.lease.token, outcome, reason)


@contextmanager
def meanwhile(work: Callable[[], Any]) -> Iterator[None]:
    """Runs `work` in a thread beside the block; its failure fails the block."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(20)
    assert not failures, failures
