"""What a run tells about itself: log.jsonl always, TensorBoard curves where it is installed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self


class Journal:
    """Appends one JSON line a tick to `run/log.jsonl` and the same numbers to `run/curves/`."""

    def __init__(self, run: Path) -> None:
        self._file = (run / "log.jsonl").open("a", encoding="utf-8")
        self._curves = None
        if find_spec("tensorboard") is not None:
            import warnings

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # its own imports deprecate each other
                from torch.utils.tensorboard import SummaryWriter

                self._curves = SummaryWriter(str(run / "curves"))

    def write(self, shown: int, numbers: dict[str, float]) -> None:
        """One line: pictures shown so far and the numbers, rounded for reading."""
        line = {"kimg": round(shown / 1000, 3)} | {name: round(value, 5) for name, value in numbers.items()}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        if self._curves is not None:
            for name, value in numbers.items():
                self._curves.add_scalar(name, value, shown)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._curves is not None:
            self._curves.close()
