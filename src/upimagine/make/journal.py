"""What a rendering needs to go on after its process was killed, in two hidden files beside the output."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from upimagine.pixels import Canvas, write_bytes
from upimagine.render.journal import part, parts

#: Seconds of work that a crash may cost.
EVERY_S = 15.0


class Stateful(Protocol):
    """A sink that holds rows back, and can do so across processes."""

    def state(self) -> dict[str, Tensor]:
        """What it holds."""
        ...

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from that."""
        ...


class FileJournal:
    """Journal of one rendering into a canvas, through sinks that hold rows back.

    The canvas keeps its rows in `.NAME.rows`; `.NAME.journal` tells how many of them count, and the state of all that
    is not yet a row. It belongs to one identity: another rendering into the same file begins anew.
    """

    def __init__(self, out: Path, identity: str, every_s: float = EVERY_S) -> None:
        """identity: everything that the pixels depend on, as text."""
        self.path, self.rows_path = files_of(out)
        self._identity = hashlib.sha256(identity.encode()).hexdigest()
        self._every_s = every_s
        self._last = time.monotonic()
        self._found = self._read()
        self._canvas: Canvas | None = None
        self._sinks: Sequence[Stateful] = ()

    @property
    def rows(self) -> int:
        """Rows of the canvas that count when it is opened again."""
        return 0 if self._found is None else int(self._found["rows"])

    def attach(self, canvas: Canvas, sinks: Sequence[Stateful]) -> None:
        """Tell where rows go; the sinks are brought to their state."""
        self._canvas, self._sinks = canvas, sinks
        if self._found is not None:
            for number, sink in enumerate(sinks):
                sink.load(part(self._found, f"sink{number}"))

    def load(self) -> dict[str, Tensor] | None:
        """The renderer's last state."""
        return None if self._found is None else part(self._found, "render")

    def due(self) -> bool:
        """Whether it is time to save again."""
        return time.monotonic() - self._last >= self._every_s

    def save(self, state: dict[str, Tensor]) -> None:
        """Write the state, once the rows it counts on are safe."""
        assert self._canvas is not None
        rows = torch.tensor(self._canvas.sync())
        sinks = {f"sink{number}": sink.state() for number, sink in enumerate(self._sinks)}
        tensors = parts(render=state, **sinks) | {"rows": rows}
        whole = {name: value.contiguous().cpu() for name, value in tensors.items()}
        write_bytes(self.path, save(whole, {"identity": self._identity}), overwrite=True)
        self._last = time.monotonic()

    def forget(self) -> None:
        """The picture is finished, or given up: nothing is to be gone on with."""
        for path in (self.path, self.rows_path):
            path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Tensor] | None:
        try:
            with safe_open(self.path, framework="pt") as file:
                if (file.metadata() or {}).get("identity") != self._identity or not self.rows_path.is_file():
                    return None
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (FileNotFoundError, SafetensorError):
            return None


def files_of(out: Path) -> tuple[Path, Path]:
    """Journal and rows of an output."""
    return out.with_name(f".{out.name}.journal"), out.with_name(f".{out.name}.rows")


def tidy(out: Path) -> None:
    """Remove what a process left that was killed after its output had come to be."""
    if out.is_file():
        for path in files_of(out):
            path.unlink(missing_ok=True)
