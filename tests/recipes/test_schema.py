"""A recipe's arguments as JSON schema and as a parser."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest

from quintet.domain.errors import Invalid
from quintet.recipes import Field, json_schema, parse_config
from quintet.recipes.catalog import BUILTIN, load


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Inner:
    rank: Annotated[int, Field(description="Rank.", ge=1)] = 8
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Config:
    model: Annotated[str, Field(title="Model", description="Which model.")]
    rate: Annotated[float, Field(description="Step size.", ge=0, le=1)] = 0.1
    steps: int | None = None
    loss: Literal["a", "b"] = "a"
    size: Annotated[int, Field(choices=(1, 2, 4))] = 2
    colour: Colour = Colour.RED
    inner: Inner | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    flag: bool = False
    either: int | str = 1


def test_the_schema_says_type_description_bounds_choices_default_and_what_is_required() -> None:
    schema = json_schema(Config)
    assert schema["type"] == "object"
    assert schema["required"] == ["model"]
    properties = schema["properties"]
    assert properties["model"] == {"type": "string", "title": "Model", "description": "Which model."}
    assert properties["rate"] == {
        "type": "number", "minimum": 0, "maximum": 1, "title": "Rate", "description": "Step size.", "default": 0.1
    }  # fmt: skip
    assert properties["steps"]["type"] == ["integer", "null"]
    assert properties["loss"]["enum"] == ["a", "b"]
    assert properties["size"]["enum"] == [1, 2, 4]
    assert properties["colour"] | {"title": "", "description": ""} == {
        "type": "string", "enum": ["red", "blue"], "default": "red", "title": "", "description": ""
    }  # fmt: skip
    assert properties["inner"]["type"] == ["object", "null"]
    assert properties["inner"]["properties"]["rank"]["minimum"] == 1
    assert properties["inner"]["properties"]["names"]["items"] == {"type": "string"}
    assert properties["extra"]["default"] == {}


def test_required_is_there_even_when_nothing_is() -> None:
    assert json_schema(Inner)["required"] == []


def test_arguments_become_the_config() -> None:
    args = {"model": "m", "rate": 1, "steps": 5.0, "inner": {"names": ["q", "v"]}, "colour": "blue", "either": "x"}
    config = parse_config(Config, args)
    assert config == Config("m", 1.0, 5, inner=Inner(8, ("q", "v")), colour=Colour.BLUE, either="x")
    assert isinstance(config.rate, float)
    assert isinstance(config.steps, int)
    assert parse_config(Config, {"model": "m", "steps": None}).steps is None


@pytest.mark.parametrize(
    ("args", "field_name", "says"),
    [
        ({}, "model", "required"),
        ({"model": 3}, "model", "must be a text"),
        ({"model": "m", "rate": 1.5}, "rate", "at most 1"),
        ({"model": "m", "rate": -0.1}, "rate", "at least 0"),
        ({"model": "m", "rate": "fast"}, "rate", "finite number"),
        ({"model": "m", "rate": float("nan")}, "rate", "finite number"),
        ({"model": "m", "rate": True}, "rate", "finite number"),
        ({"model": "m", "steps": 1.5}, "steps", "whole number"),
        ({"model": "m", "steps": True}, "steps", "whole number"),
        ({"model": "m", "loss": "c"}, "loss", "one of a, b"),
        ({"model": "m", "size": 3}, "size", "one of 1, 2, 4"),
        ({"model": "m", "colour": "green"}, "colour", "one of red, blue"),
        ({"model": "m", "flag": 1}, "flag", "true or false"),
        ({"model": "m", "inner": {"rank": 0}}, "inner.rank", "at least 1"),
        ({"model": "m", "inner": {"names": "q"}}, "inner.names", "a list"),
        ({"model": "m", "inner": {"names": ["q", 1]}}, "inner.names[1]", "a text"),
        ({"model": "m", "inner": []}, "inner", "an object"),
        ({"model": "m", "ratee": 1.0}, "ratee", "did you mean rate"),
        ({"model": "m", "either": []}, "either", "int or str"),
    ],
)
def test_a_wrong_argument_is_named(args: dict[str, Any], field_name: str, says: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_config(Config, args)
    assert caught.value.field == field_name
    assert field_name in caught.value.message
    assert says in caught.value.message


def test_a_type_that_no_argument_can_have_is_refused_when_the_schema_is_made() -> None:
    @dataclass(frozen=True)
    class Bad:
        value: complex = 1j

    with pytest.raises(TypeError, match=r"Bad\.value"):
        json_schema(Bad)


@pytest.mark.parametrize("name", BUILTIN)
def test_each_builtin_recipe_matches_its_entry_and_documents_every_argument(name: str) -> None:
    spec, found = BUILTIN[name], load(name)
    assert (found.name, found.stages, found.description) == (spec.name, spec.stages, spec.summary)
    for argument, schema in found.schema()["properties"].items():
        assert schema["description"], argument
        assert "type" in schema, argument
