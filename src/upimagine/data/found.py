"""One picture to learn from, wherever it lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from upimagine import pixels

#: What is said about a picture: a class (a number or a name), a list of numbers, named attributes, or nothing.
Label: TypeAlias = int | float | str | list[Any] | dict[str, Any] | None


@dataclass(frozen=True)
class Found:
    """A picture that has been listed but not yet read."""

    path: Path  # the file; of a member of an archive, what it is called: the archive's path and its name
    content: Callable[[], bytes] | None = None  # gives the bytes of a member
    label: Label = None

    def read(self) -> pixels.Picture:
        """Decode it. Raises PictureError, one line with its name, when it is missing, damaged or too large."""
        return pixels.read(self.path, content=None if self.content is None else self.content())
