"""What a run tells about itself: log.jsonl always, TensorBoard curves where it is installed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from upimagine.train.events import Events

FILE_NAME = "log.jsonl"

Line = dict[str, Any]
"""`kimg`, then the means of plotted numbers since the line before (None: no number); or `kimg`, `event` and more."""


class Journal:
    """Appends one JSON line a tick to `run/log.jsonl` and the same numbers to `run/curves/`.

    Args:
        run: folder of the run.
        shown: pictures shown before; curves beyond are those of steps that a kill or a rollback has undone.
    """

    def __init__(self, run: Path, shown: int = 0) -> None:
        path = run / FILE_NAME
        torn = path.exists() and not path.read_bytes().endswith(b"\n")
        self._file = path.open("a", encoding="utf-8")
        if torn and self._file.tell():  # a kill while a line was written
            self._file.write("\n")
        self._curves: Events | None = None
        if find_spec("tensorboard") is not None:
            import warnings

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # its own imports deprecate each other
                self._curves = Events(run / "curves", shown + 1 if shown else None)

    def write(self, shown: int, numbers: dict[str, float]) -> Line:
        """One line: pictures shown so far and the numbers, to six digits; gives it back."""
        line: Line = {"kimg": round(shown / 1000, 3)} | {name: _readable(value) for name, value in numbers.items()}
        self._append(line)
        if self._curves is not None:
            self._curves.write(shown, numbers)
        return line

    def tell(self, shown: int, event: str, **more: Any) -> Line:
        """A line about something that happened."""
        line: Line = {"kimg": round(shown / 1000, 3), "event": event} | more
        self._append(line)
        return line

    def rewrite(self, lines: Iterable[Line]) -> None:
        """Lines that were written before, into a log that has been lost."""
        for line in lines:
            self._append(line)

    def _append(self, line: Line) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._curves is not None:
            self._curves.close()


def read_log(run: Path, until: int | None = None) -> list[Line]:
    """The lines of `run/log.jsonl` that hold, up to `until` pictures shown (None: all).

    A run that went on from an earlier checkpoint has undone what it had written since: such lines are left out, as are
    lines that a kill has torn.
    """
    path = run / FILE_NAME
    lines: list[Line] = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        line = _parsed(text)
        if line is None:
            continue
        # An event may stand at the very place of a tick, another tick may not.
        while lines and (
            lines[-1]["kimg"] > line["kimg"]
            or (lines[-1]["kimg"] == line["kimg"] and "event" not in line and "event" not in lines[-1])
        ):
            lines.pop()
        lines.append(line)
    return lines if until is None else [line for line in lines if line["kimg"] <= round(until / 1000, 3)]


def _parsed(text: str) -> Line | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and isinstance(line.get("kimg"), (int, float)) else None


def _readable(value: float) -> float | None:
    """Six digits; JSON has no word for what is not a number."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
