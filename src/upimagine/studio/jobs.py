"""What takes longer than a click: one job after the other, in the background, each with its progress and an end."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from upimagine.errors import UpimagineError
from upimagine.make.stages import Watch

_MOST = 50

Work = Callable[[Watch], list[Path]]
"""Does it, tells how far it is, gives back the files it made. Raises UpimagineError."""


class _CancelledError(UpimagineError):
    """Raised out of the work's own telling; outputs appear whole or not at all, so none is left."""


class FullError(UpimagineError):
    """More jobs wait than is sensible."""


@dataclass
class Job:
    """How a job stands."""

    id: int
    title: str
    state: str = "waiting"  # then running; at last done, failed or cancelled
    what: str = ""
    done: int = 0
    total: int = 0
    trouble: str = ""
    made: list[str] = field(default_factory=list)  # names of files


class Jobs:
    """The queue. Methods may be called from any thread."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "job")
        self._lock = threading.Lock()
        self._jobs: dict[int, Job] = {}
        self._cancelled: set[int] = set()
        self._numbers = itertools.count(1)

    def add(self, title: str, work: Work) -> Job:
        """Put at the end of the queue. Raises FullError."""
        with self._lock:
            if sum(job.state in ("waiting", "running") for job in self._jobs.values()) >= _MOST:
                raise FullError(f"{_MOST} jobs are waiting; cancel some, or wait")
            for old in [number for number, job in self._jobs.items() if job.state not in ("waiting", "running")][
                :-_MOST
            ]:
                del self._jobs[old]
            job = Job(next(self._numbers), title)
            self._jobs[job.id] = job
        self._pool.submit(self._run, job, work)
        return job

    def told(self) -> list[dict[str, Any]]:
        """All that are known, newest first."""
        with self._lock:
            return [asdict(job) for job in reversed(self._jobs.values())]

    def cancel(self, number: int) -> bool:
        """Stop at the next step; False for an unknown job. One that has ended stays as it is."""
        with self._lock:
            self._cancelled.add(number)
            return number in self._jobs

    def close(self) -> None:
        """Cancel all, and wait for the one that runs."""
        with self._lock:
            self._cancelled |= self._jobs.keys()
        self._pool.shutdown(cancel_futures=True)

    def _run(self, job: Job, work: Work) -> None:
        def watch(what: str, done: int, total: int) -> None:
            with self._lock:
                if job.id in self._cancelled:
                    raise _CancelledError("cancelled")
                job.what, job.done, job.total = what, done, total

        try:
            watch("beginning", 0, 0)
            job.state = "running"
            made = work(watch)
            job.made, job.state = [path.name for path in made], "done"
        except _CancelledError:
            job.state = "cancelled"
        except Exception as error:  # whatever it is, the one who asked must be told, and the queue go on
            job.trouble, job.state = str(error) or type(error).__name__, "failed"
