"""What the studio answers when it cannot do what was asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import HTTPException

from upimagine.errors import UpimagineError

UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"description": "unknown"}}
REFUSED: dict[int | str, dict[str, Any]] = UNKNOWN | {409: {"description": "cannot be done; says why"}}


@contextmanager
def told() -> Iterator[None]:
    """An UpimagineError becomes a 409 with its words."""
    try:
        yield
    except UpimagineError as error:
        raise HTTPException(409, str(error)) from error
