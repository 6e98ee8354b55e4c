"""Pretrained models are trained once for the same arguments, and again for any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from quintet.recipes.cache import FOLDER, Kept, cached
from quintet.trainers.pretrain import Pretrained
from quintet.trainers.report import Report


class Noted:
    """A report that keeps what it hears."""

    def __init__(self) -> None:
        self.points: list[tuple[str, str, float, int]] = []
        self.said: list[str] = []

    def metric(self, metric: str, variant: str, value: float, step: int) -> None:
        self.points.append((metric, variant, value, step))

    def progress(self, done: int, total: int | None) -> None:
        """Not looked at."""

    def checkpoint(self, folder: Path, step: int, epoch: float, metrics: object) -> None:
        """Not looked at."""

    def say(self, text: str) -> None:
        self.said.append(text)


class Trainer:
    """Counts its trainings; the model it makes names the training."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.trainings = folder, 0

    def __call__(self, report: Report) -> Pretrained:
        self.trainings += 1
        report.metric("loss", "train", 2.5 / self.trainings, 10)
        model = self.folder / f"made-{self.trainings}"
        model.mkdir(parents=True)
        (model / "weights").write_text(f"training {self.trainings}")
        return Pretrained(model, 10, 123, 2.5 / self.trainings, None)


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path / "work")


def test_the_same_training_is_done_once(tmp_path: Path, trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path / "cache"))
    first, second = Noted(), Noted()
    cached({"seed": 0}, tmp_path / "a", first, trainer)
    made = cached({"seed": 0}, tmp_path / "b", second, trainer)
    assert trainer.trainings == 1
    assert second.points == first.points
    assert (made.folder / "weights").read_text() == "training 1"
    assert made.folder == tmp_path / "b" / "model"
    assert any("before" in line for line in second.said)


def test_other_arguments_are_another_training(tmp_path: Path, trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path / "cache"))
    cached({"seed": 0}, tmp_path / "a", Noted(), trainer)
    cached({"seed": 1}, tmp_path / "b", Noted(), trainer)
    assert trainer.trainings == 2


def test_an_interrupted_entry_is_made_again(tmp_path: Path, trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path / "cache"))
    cached({"seed": 0}, tmp_path / "a", Noted(), trainer)
    (done,) = (tmp_path / "cache").rglob("done.json")
    done.unlink()
    cached({"seed": 0}, tmp_path / "b", Noted(), trainer)
    assert trainer.trainings == 2


def test_without_a_folder_nothing_is_kept(tmp_path: Path, trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    for name in ("a", "b"):
        cached({"seed": 0}, tmp_path / name, Noted(), trainer)
    assert trainer.trainings == 2


def test_reports_pass_through_while_they_are_kept() -> None:
    noted = Noted()
    kept = Kept(noted)
    kept.metric("loss", "train", 1.0, 1)
    kept.say("hello")
    assert kept.points == noted.points == [("loss", "train", 1.0, 1)]
    assert noted.said == ["hello"]
