"""Tile rows in the making and in the finishing while another one is chosen from, each in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from upimagine.render.network import NetworkCalls
from upimagine.render.rows import CandidateRow, RowMaker
from upimagine.render.threads import single_threads


class Ahead:
    """Makes the next candidate row while the caller works on this one. Leave by ``with``: nothing runs on then."""

    def __init__(self, maker: RowMaker, calls: NetworkCalls, rows: int) -> None:
        self._maker, self._calls, self._rows = maker, calls, rows
        self._pool = single_threads(1)
        self._coming: tuple[int, Future[CandidateRow]] | None = None

    def make(self, row: int) -> CandidateRow:
        """The row, and the next one begun where there is a second buffer for it. Raises what making it raised."""
        if self._coming is None or self._coming[0] != row:
            self._begin(row)
        assert self._coming is not None
        made = self._coming[1].result()
        if row + 1 < self._rows and self._maker.buffers > 1:
            self._begin(row + 1)
        return made

    def _begin(self, row: int) -> None:
        self._coming = row, self._pool.submit(self._maker.make, row)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._calls.close()  # ends a row that nobody waits for
        self._pool.shutdown(cancel_futures=True)


class Finisher:
    """Does one piece of work at a time, in order, beside the caller. Leave by ``with``: nothing runs on then."""

    def __init__(self) -> None:
        self._pool = single_threads(1)
        self._under_way: Future[None] | None = None

    def begin(self, work: Callable[[], None]) -> None:
        """Begin once the piece before is done; raises what that one raised."""
        self.settle()
        self._under_way = self._pool.submit(work)

    def settle(self) -> None:
        """Wait until all is done; raises what the last piece raised."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()
