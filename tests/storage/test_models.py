"""The registry's tables, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from quintet.domain.ids import Id, new_id
from quintet.domain.models import Model, ModelFormat, ModelKind, ModelVersion
from quintet.domain.page import PageRequest, encode_cursor
from quintet.storage import models as store
from quintet.storage import refs
from quintet.storage.database import Database
from quintet.storage.models import ModelFilter
from quintet.storage.tx import WriteTx
from tests.support.factories import NOW, World, make_world


def _model(world: World, key: str, **fields: object) -> Model:
    made = Model(
        new_id(), world.space_id, world.project.id, f"Model {key}", key, ModelKind.GENERATION,
        ModelFormat.NONE, NOW, NOW, world.actor.user_id,
    )  # fmt: skip
    return replace(made, **fields)  # type: ignore[arg-type]


def _stored(db: Database, *models: Model) -> None:
    for model in models:
        assert db.write(lambda tx, m=model: store.insert_model(tx, m))


def test_a_model_comes_back_as_it_was_stored(db: Database) -> None:
    world = make_world(db)
    model = _model(world, "a", tags=("x",), labels={"cat": 1}, metadata={"k": {"type": "str"}}, parent_id=new_id())
    _stored(db, model)
    assert db.read(lambda tx: store.get(tx, world.space_id, model.id)) == model
    assert db.read(lambda tx: store.get(tx, new_id(), model.id)) is None


def test_a_taken_key_adds_nothing(db: Database) -> None:
    world, other = make_world(db), make_world(db)
    _stored(db, _model(world, "a"), _model(other, "a"))
    again = _model(world, "a")
    assert not db.write(lambda tx: store.insert_model(tx, again))
    assert db.read(lambda tx: store.get(tx, world.space_id, again.id)) is None


def test_filters_choose_by_tags_names_and_flags(db: Database) -> None:
    world = make_world(db)
    one = _model(world, "one", tags=("a", "b"), name="Llama 1")
    two = _model(world, "two", tags=("b",), system_tags=("archived",), archived=True, name="llama 2")
    three = _model(world, "three", uri="s3://x", kind=ModelKind.EMBEDDING, name="100%_sure", framework="torch")
    _stored(db, one, two, three)

    def keys(wanted: ModelFilter) -> list[str]:
        page = db.read(lambda tx: store.list_models(tx, world.space_id, wanted, PageRequest(), count=True))
        assert page.total == len(page.items)
        return [m.key for m in page.items]

    assert keys(ModelFilter()) == ["one", "two", "three"]
    assert keys(ModelFilter(tags_all=("a", "b"))) == ["one"]
    assert keys(ModelFilter(tags_any=("a", "b"))) == ["one", "two"]
    assert keys(ModelFilter(tags_none=("a",))) == ["two", "three"]
    assert keys(ModelFilter(system_tags_none=("archived",))) == ["one", "three"]
    assert keys(ModelFilter(name_pattern="^Ll")) == ["one"]
    assert keys(ModelFilter(search="0%_S")) == ["three"]
    assert keys(ModelFilter(search="lama")) == ["one", "two"]
    assert keys(ModelFilter(archived=False, kinds=(ModelKind.GENERATION,))) == ["one"]
    assert keys(ModelFilter(uris=("s3://x",))) == ["three"]
    assert keys(ModelFilter(ids=())) == []
    assert db.read(lambda tx: store.frameworks(tx, world.space_id)) == ["torch"]


def test_pages_go_forth_and_back_in_any_order(db: Database) -> None:
    world = make_world(db)
    models = [_model(world, f"k{n}", name=name) for n, name in enumerate(["b", "a", "b", "c", "a"])]
    _stored(db, *models)

    def page(request: PageRequest, descending: bool = False) -> tuple[list[str], str | None, bool]:
        found = db.read(
            lambda tx: store.list_models(
                tx, world.space_id, ModelFilter(), request, order="name", descending=descending
            )
        )
        return [m.key for m in found.items], found.next_cursor, found.has_previous

    for descending, wanted in ((False, ["k1", "k4", "k0", "k2", "k3"]), (True, ["k3", "k2", "k0", "k4", "k1"])):
        first, cursor, before = page(PageRequest(limit=2), descending)
        second, last, earlier = page(PageRequest(limit=2, after=cursor), descending)
        third, end, _ = page(PageRequest(limit=2, after=last), descending)
        assert (first + second + third, end, before, earlier) == (wanted, None, False, True)
        start = next(m for m in models if m.key == second[0])
        back, _, more = page(PageRequest(limit=2, before=encode_cursor(start.name, start.id)), descending)
        assert (back, more) == (first, False)
    assert page(PageRequest(limit=2, offset=3))[0] == ["k2", "k3"]


def test_versions_are_numbered_without_gaps_or_doubles_by_many_threads(db: Database) -> None:
    world = make_world(db)
    model = _model(world, "a")
    _stored(db, model)

    def add(_: int) -> int:
        def work(tx: WriteTx) -> int:
            number = store.next_version(tx, model.id)
            store.insert_version(tx, ModelVersion(new_id(), model.id, number, NOW, NOW, world.actor.user_id))
            return number

        return db.write(work)

    with ThreadPoolExecutor(8) as threads:
        numbers = list(threads.map(add, range(40)))
    assert sorted(numbers) == list(range(1, 41))
    found = db.read(lambda tx: store.get(tx, world.space_id, model.id))
    assert found is not None
    assert found.latest_version == 40


def test_saving_a_model_does_not_move_its_version_counter_back(db: Database) -> None:
    world = make_world(db)
    model = _model(world, "a")
    _stored(db, model)
    db.write(lambda tx: store.next_version(tx, model.id))
    db.write(lambda tx: store.save_model(tx, replace(model, description="new")))
    found = db.read(lambda tx: store.get(tx, world.space_id, model.id))
    assert (found.latest_version, found.description) == (1, "new")  # type: ignore[union-attr]


def test_latest_versions_are_found_in_one_go(db: Database) -> None:
    world = make_world(db)
    a, b, empty = (_model(world, k) for k in "abc")
    _stored(db, a, b, empty)
    add: Callable[[Model, int], None] = lambda m, n: db.write(  # noqa: E731
        lambda tx: store.insert_version(tx, ModelVersion(new_id(), m.id, n, NOW, NOW, world.actor.user_id))
    )
    for model, number in ((a, 1), (a, 2), (b, 7)):
        add(model, number)
    found = db.read(lambda tx: store.latest_versions(tx, [a.id, b.id, empty.id]))
    assert {k: v.number for k, v in found.items()} == {a.id: 2, b.id: 7}


def test_names_from_elsewhere_lead_to_their_target(db: Database) -> None:
    world = make_world(db)
    space, one, two = world.space_id, Id("0" * 24), Id("1" * 24)
    db.write(lambda tx: refs.put(tx, space, "llama_stack", "model", "meta/llama", one))
    assert db.read(lambda tx: refs.find(tx, space, "llama_stack", "model", "meta/llama")) == one
    assert db.read(lambda tx: refs.find(tx, space, "adaptive", "model", "meta/llama")) is None
    assert db.read(lambda tx: refs.find_any(tx, space, "model", "meta/llama")) == one
    db.write(lambda tx: refs.move(tx, space, "llama_stack", "model", "meta/llama", two))
    assert db.read(lambda tx: refs.list_refs(tx, space, "llama_stack", "model")) == [("meta/llama", two)]
    assert db.read(lambda tx: refs.names_of(tx, space, "llama_stack", "model", [one, two])) == {two: "meta/llama"}
    db.write(lambda tx: refs.drop_target(tx, space, "model", two))
    assert db.read(lambda tx: refs.find_any(tx, space, "model", "meta/llama")) is None
