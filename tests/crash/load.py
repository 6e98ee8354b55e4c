"""Clients that write as fast as they can, remember what was acknowledged, and afterwards look for all of it."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from typing import Any

from tests.crash.processes import Answer, Link, Server

from quintet.app.events.read import get_rollups
from quintet.app.runs.create import CreateRun, create_run
from quintet.domain.ids import Id, Kind, to_hex32

POINTS = 5
"""Points of each series in one batch."""

START_MS = 1_700_000_000_000
"""The time of the first point."""

ROUND = 380
"""Acknowledged writes of one client in one round at most: three rounds stay below the 6,000 points that a chart
shows as they are."""

ROWS = 3
"""Rows in one addition."""


class Client(ABC):
    """Writes until its server does not answer. `acknowledged` and `unsure` hold the numbers of its writes.

    `refused` are those that the server answered with an error: nothing of them may be there.
    """

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.number = 0
        self.acknowledged: list[int] = []
        self.unsure: list[int] = []
        self.refused: dict[int, Answer] = {}
        self._thread: threading.Thread | None = None
        self._enough = threading.Event()
        self._most = 0

    def begin(self) -> None:
        self._enough.clear()
        self._most = len(self.acknowledged) + ROUND
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Waits until it has noticed that the server is gone, or stops it."""
        assert self._thread is not None
        self._enough.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), f"{self.name} still waits for an answer"

    def _run(self) -> None:
        link = self.server.link()
        while len(self.acknowledged) < self._most and not self._enough.is_set():
            answer = self.write_one(link)
            if answer.status == 0:
                break
            if answer.status >= 300:
                self._enough.wait(0.02)
        link.close()

    def write_one(self, link: Link) -> Answer:
        number, self.number = self.number, self.number + 1
        answer = self.write(link, number)
        if answer.status == 0:
            self.unsure.append(number)
        elif answer.status < 300:
            self.acknowledged.append(number)
        else:
            self.refused[number] = answer
        return answer

    @abstractmethod
    def write(self, link: Link, number: int) -> Answer:
        """One write that can be told from every other by its number."""

    @abstractmethod
    def stored(self) -> list[int]:
        """The numbers of all writes that are there, each as often as it is; fails where one is there in part."""

    def check(self) -> None:
        """Everything acknowledged is there once, nothing refused is, and of the rest each once or not at all."""
        found = self.stored()
        assert len(found) == len(set(found)), f"{self.name}: some are there twice"
        missing = set(self.acknowledged) - set(found)
        assert not missing, f"{self.name}: {len(missing)} of {len(self.acknowledged)} are gone"
        assert set(found) - set(self.acknowledged) <= set(self.unsure), f"{self.name}: there is more than was written"


class Scalars(Client):
    """Batches of scalars of two series of a ClearML task."""

    def __init__(self, server: Server, name: str = "scalars") -> None:
        super().__init__(server, name)
        parts = server.parts()
        self.run_id: Id = parts.core.write_now(server.admin, create_run, CreateRun(name)).id
        parts.close()
        self.task = to_hex32(self.run_id, Kind.RUN)

    def write(self, link: Link, number: int) -> Answer:
        return link.call("POST", "/events.add_batch", self._lines(number))

    def _lines(self, number: int) -> bytes:
        base = {"type": "training_stats_scalar", "task": self.task, "metric": "load"}
        steps = range(number * POINTS, (number + 1) * POINTS)
        return b"\n".join(
            json.dumps({**base, "variant": v, "iter": i, "value": value(i), "timestamp": START_MS + i}).encode()
            for v in ("a", "b")
            for i in steps
        )

    def write_again(self, link: Link) -> None:
        """What a client does that got no answer: it sends the same once more."""
        for number in self.unsure:
            answer = link.call("POST", "/events.add_batch", self._lines(number))
            assert answer.status == 200, answer.body[:500]
            self.acknowledged.append(number)
        self.unsure.clear()

    def stored(self) -> list[int]:
        wanted = {"task": self.task, "samples": 6_000}
        shown = self.server.must("POST", "/events.scalar_metrics_iter_histogram", wanted)["data"]["load"]
        found = {variant: [int(x) for x in shown[variant]["x"]] for variant in ("a", "b")}
        assert found["a"] == found["b"], "half of a batch is there"
        for variant in ("a", "b"):
            assert shown[variant]["y"] == [value(i) for i in found[variant]], "a point has the value of another"
        rollups = self.server.use(get_rollups, [self.run_id])[self.run_id]
        assert {r.variant: r.count for r in rollups} == {v: len(xs) for v, xs in found.items()}, "points count twice"
        first = [i // POINTS for i in found["a"][::POINTS]]
        assert found["a"] == [n * POINTS + i for n in first for i in range(POINTS)], "a part of a batch is there"
        return first


def value(step: int) -> float:
    return (step * 37 % 101) / 8


class Chats(Client):
    """Chat completions by a model that repeats what it is told."""

    MODEL = "parrot"

    def __init__(self, server: Server, name: str = "chats") -> None:
        super().__init__(server, name)
        self.ids: dict[int, str] = {}
        server.add_endpoint(self.MODEL)

    def write(self, link: Link, number: int) -> Answer:
        messages = [{"role": "user", "content": f"{self.name} {number}"}]
        answer = link.call("POST", "/v1/chat/completions", {"model": self.MODEL, "messages": messages})
        if answer.status == 200:
            said = answer.json
            assert said["choices"][0]["message"]["content"] == f"echo: {self.name} {number}"
            self.ids[number] = said["id"]
        return answer

    def stored(self) -> list[int]:
        found: dict[str, int] = {}
        after = ""
        link = self.server.link()
        while True:
            page = link.call("GET", f"/v1/chat/completions?limit=200&order=asc&after={after}").json
            for item in page["data"]:
                said = item["choices"][0]["message"]["content"]
                if said.startswith(f"echo: {self.name} "):
                    assert item["id"] not in found
                    found[item["id"]] = int(said.rpartition(" ")[2])
            if not page["has_more"]:
                break
            after = page["last_id"]
        link.close()
        assert all(found.get(ident) == number for number, ident in self.ids.items()), "an acknowledged id is gone"
        return list(found.values())


class Rows(Client):
    """Additions of rows to a dataset."""

    def __init__(self, server: Server, name: str = "rows") -> None:
        super().__init__(server, name)
        self._dataset = f"crash-{name}"

    def register(self) -> None:
        body: dict[str, Any] = {
            "dataset_id": self._dataset, "purpose": "eval/question-answer", "source": {"type": "rows", "rows": []},
        }  # fmt: skip
        self.server.must("POST", "/v1beta/datasets", body)

    def write(self, link: Link, number: int) -> Answer:
        rows = [{"number": number, "row": i, "padding": "x" * 50} for i in range(ROWS)]
        return link.call("POST", f"/v1beta/datasetio/append-rows/{self._dataset}", {"rows": rows})

    def stored(self) -> list[int]:
        rows = self.server.must("GET", f"/v1beta/datasetio/iterrows/{self._dataset}")["data"]
        numbers = [row["number"] for row in rows[::ROWS]]
        assert [(r["number"], r["row"]) for r in rows] == [(n, i) for n in numbers for i in range(ROWS)], "torn rows"
        return numbers
