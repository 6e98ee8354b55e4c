"""Roots that answer null for what is not there: clients take any error as the failure of the whole call."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from quintet.domain.errors import NotFound

T = TypeVar("T")


async def or_none(wanted: Awaitable[T]) -> T | None:
    """The result, or None where it was not found."""
    try:
        return await wanted
    except NotFound:
        return None
