"""Jobs that threads work ahead on, but not far, while one reader takes the results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_AHEAD = 4  # jobs a thread may be ahead of the reader: so few results are in memory


def ahead(jobs: Iterable[Callable[[], T] | None], threads: int = 0) -> Iterator[T | None]:
    """The result of each job in turn, None for None. Jobs are drawn by the reader's own thread.

    Args:
        jobs: each called once, in one of the threads; what it raises is raised here, and ends it all.
        threads: 0 for one a core.
    """
    threads = threads or os.cpu_count() or 1
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[T] | None] = deque()
    try:
        for job in jobs:
            waiting.append(None if job is None else pool.submit(job))
            if len(waiting) >= threads * _AHEAD:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _result(waiting: Future[T] | None) -> T | None:
    return None if waiting is None else waiting.result()
