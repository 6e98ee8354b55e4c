"""The small API by which a Python file becomes a recipe, and the built-in recipes made with it.

    from dataclasses import dataclass
    from typing import Annotated

    from quintet.recipes import Field, RecipeContext, recipe

    @dataclass(frozen=True, slots=True)
    class Settings:
        steps: Annotated[int, Field(description="How many steps.", ge=1)] = 10

    @recipe(name="count", config=Settings, description="Counts.")
    def main(ctx: RecipeContext, config: Settings) -> None:
        with ctx.stage("count", total=config.steps) as stage:
            for i in range(config.steps):
                ctx.metric("count", "value", i, iter=i)
                stage.advance()

Importing this needs the standard library only.
"""

from quintet.recipes.client import RunClient
from quintet.recipes.context import Completion, ModelFolder, RecipeContext, RegisteredModel, Stage
from quintet.recipes.declare import NoConfig, Recipe, recipe
from quintet.recipes.schema import Field, json_schema, parse_config

__all__ = [
    "Completion",
    "Field",
    "ModelFolder",
    "NoConfig",
    "Recipe",
    "RecipeContext",
    "RegisteredModel",
    "RunClient",
    "Stage",
    "json_schema",
    "parse_config",
    "recipe",
]
