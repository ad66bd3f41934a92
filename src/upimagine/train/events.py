"""Curves for TensorBoard: its records, appended to one file that is held open.

TensorBoard's own writer has a thread that opens the file anew for each record and dies loudly when the folder is gone.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any


class Events:
    """Scalars by name. Needs the package `tensorboard`.

    Args:
        folder: where the file goes; it is made.
        purge_step: what earlier files say from this step on is undone. None: nothing is.
    """

    def __init__(self, folder: Path, purge_step: int | None) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        folder.mkdir(parents=True, exist_ok=True)
        # Microseconds, so that readers, who go by the names, take a later process's file as the later one.
        self._file = (folder / f"events.out.tfevents.{time.time_ns() // 1000}.{os.getpid()}").open("ab")
        self._writer: Any = RecordWriter(self._file)
        self._append(file_version="brain.Event:2")
        if purge_step is not None:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._append(step=purge_step, session_log=start)

    def write(self, step: int, numbers: dict[str, float]) -> None:
        """One point of each curve."""
        values = [self._summary.Value(tag=name, simple_value=value) for name, value in numbers.items()]
        self._append(step=step, summary=self._summary(value=values))

    def close(self) -> None:
        """Nothing is written after this."""
        self._file.close()

    def _append(self, **what: Any) -> None:
        self._writer.write(self._event(wall_time=time.time(), **what).SerializeToString())
        self._file.flush()
