"""A/B tests: who is routed where, what counts, and how a test ends."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from quintet.app.core import Core
from quintet.app.experiments.manage import CreateExperiment, cancel_experiment, create_experiment, find_experiment
from quintet.app.feedback.manage import (
    CreateMetric,
    GiveComparison,
    GiveFeedback,
    create_metric,
    give_comparison,
    give_feedback,
)
from quintet.app.projects.manage import find_project
from quintet.app.serving.callpath import CallPath, Completion
from quintet.app.serving.deployments import CreateEndpoint, create_endpoint, make_default
from quintet.domain.errors import Conflict, Invalid, Precondition
from quintet.domain.ids import new_id
from quintet.domain.interactions import ExperimentState, FeedbackKind, MetricKind
from quintet.storage.database import Database
from tests.support.factories import World, make_world
from tests.support.serving import serving_core

ASK = [{"role": "user", "content": "hello"}]


class Bench:
    """A project with two models and a yes/no metric."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.world: World = make_world(db)
        self.core: Core = serving_core(db, folder)
        self.path: CallPath = self.core.services["callpath"]
        self.project = self.world.project.key

    async def set_up(self) -> None:
        actor = self.world.actor
        made = {}
        for key in ("good", "bad"):
            cmd = CreateEndpoint(key, "fake", "m", engine="fake", project=self.project, config={"reply": key})
            made[key] = await self.core.write(actor, create_endpoint, cmd)
        await self.core.write(actor, make_default, self.world.project, made["bad"])
        await self.core.write(actor, create_metric, CreateMetric("Right", "right", MetricKind.BOOL))
        self.ids = {d.id: k for k, d in made.items()}

    async def start(self, **fields: Any) -> Any:
        cmd = CreateExperiment("test", self.project, "right", ("good", "bad"), **fields)
        return await self.core.write(self.world.actor, create_experiment, cmd)

    async def ask(self, **fields: Any) -> Any:
        done = await self.path.complete(self.world.actor, Completion(self.project, ASK, "test", **fields))
        return done.choices[0].interaction

    async def rate(self, interaction: Any, value: bool) -> None:
        await self.core.write(self.world.actor, give_feedback, GiveFeedback("right", interaction.id, value))

    async def state(self) -> Any:
        return await self.core.read(self.world.actor, find_experiment, "test")


def test_a_test_ends_by_itself_and_deploys_its_winner(db: Database, tmp_path: Path) -> None:
    async def story() -> None:
        b = Bench(db, tmp_path)
        await b.set_up()
        await b.start(auto_deploy=True)
        draw = random.Random(4)
        for _asked in range(300):
            item = await b.ask(session_id=new_id())
            await b.rate(item, draw.random() < (0.95 if item.completion == "good" else 0.3))
            now = await b.state()
            if now.state is ExperimentState.DONE:
                break
        assert now.state is ExperimentState.DONE
        assert b.ids[now.winner_id] == "good"
        assert now.p_value < 0.05
        assert now.feedbacks == _asked + 1
        project = await b.core.read(b.world.actor, find_project, b.project)
        assert b.ids[project.default_deployment_id] == "good"
        after = await b.ask()
        assert (after.completion, after.experiment_id) == ("good", None)
        # Late feedback on what the test had routed changes the verdict no more.
        await b.rate(item, False)
        assert (await b.state()).feedbacks == now.feedbacks

    asyncio.run(story())


def test_one_session_always_meets_the_same_model(sqlite_db: Database, tmp_path: Path) -> None:
    async def story() -> None:
        b = Bench(sqlite_db, tmp_path)
        await b.set_up()
        await b.start()
        seen = set()
        for _ in range(12):
            session = new_id()
            answers = {(await b.ask(session_id=session)).completion for _ in range(3)}
            assert len(answers) == 1
            seen |= answers
        assert seen == {"good", "bad"}

    asyncio.run(story())


def test_only_its_share_of_traffic_is_tested(sqlite_db: Database, tmp_path: Path) -> None:
    async def story() -> None:
        b = Bench(sqlite_db, tmp_path)
        await b.set_up()
        made = await b.start(traffic=0.3)
        items = [await b.ask() for _ in range(300)]
        routed = [i for i in items if i.experiment_id == made.id]
        # Binomial(300, 0.3): within 5 standard deviations of 90.
        assert 50 < len(routed) < 130
        assert all(i.completion == "bad" for i in items if i.experiment_id is None)
        forced = await b.ask(experiment="test")
        assert forced.experiment_id == made.id
        named = await b.path.complete(b.world.actor, Completion(f"{b.project}/good", ASK, "test"))
        assert named.choices[0].interaction.experiment_id is None

    asyncio.run(story())


def test_only_its_own_metric_and_kind_count(sqlite_db: Database, tmp_path: Path) -> None:
    async def story() -> None:
        b = Bench(sqlite_db, tmp_path)
        await b.set_up()
        await b.start()
        await b.core.write(b.world.actor, create_metric, CreateMetric("Other", "other", MetricKind.BOOL))
        item = await b.ask()
        await b.core.write(b.world.actor, give_feedback, GiveFeedback("other", item.id, True))
        other = await b.ask()
        await b.core.write(b.world.actor, give_comparison, GiveComparison("right", item.id, other.id))
        assert (await b.state()).feedbacks == 0
        await b.rate(item, True)
        assert (await b.state()).feedbacks == 1

    asyncio.run(story())


def test_preferences_end_a_comparison_test(db: Database, tmp_path: Path) -> None:
    async def story() -> None:
        b = Bench(db, tmp_path)
        await b.set_up()
        await b.start(feedback=FeedbackKind.COMPARISON)
        for _ in range(120):
            pair = [await b.ask(session_id=new_id()) for _ in range(2)]
            good = next((i for i in pair if i.completion == "good"), None)
            bad = next((i for i in pair if i.completion == "bad"), None)
            if good is None or bad is None:
                continue
            await b.core.write(b.world.actor, give_comparison, GiveComparison("right", good.id, bad.id))
            now = await b.state()
            if now.state is ExperimentState.DONE:
                break
        assert now.state is ExperimentState.DONE
        assert b.ids[now.winner_id] == "good"

    asyncio.run(story())


def test_what_a_test_needs(sqlite_db: Database, tmp_path: Path) -> None:
    async def story() -> None:
        b = Bench(sqlite_db, tmp_path)
        await b.set_up()
        for field, bad in (("trafficSplit", {"traffic": 0.0}), ("trafficSplit", {"traffic": 1.5})):
            with pytest.raises(Invalid) as caught:
                await b.start(**bad)
            assert caught.value.field == field
        one = CreateExperiment("x", b.project, "right", ("good", "good"))
        with pytest.raises(Invalid):
            await b.core.write(b.world.actor, create_experiment, one)
        await b.start()
        with pytest.raises(Conflict):
            await b.start()
        with pytest.raises(Precondition):
            await b.core.write(
                b.world.actor, create_experiment, CreateExperiment("y", b.project, "right", ("good", "bad"))
            )
        ended = await b.core.write(b.world.actor, cancel_experiment, "test")
        assert ended.state is ExperimentState.CANCELLED
        with pytest.raises(Precondition):
            await b.core.write(b.world.actor, cancel_experiment, "test")
        assert (await b.ask()).experiment_id is None

    asyncio.run(story())
