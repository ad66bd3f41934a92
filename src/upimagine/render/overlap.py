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
    """Makes a further candidate row while the caller works on those it has. Leave by ``with``: nothing runs on then."""

    def __init__(self, maker: RowMaker, calls: NetworkCalls, rows: int, below: bool) -> None:
        """below: whether the caller wants to see the next row, too."""
        self._maker, self._calls, self._rows, self._wants_below = maker, calls, rows, below
        self._pool = single_threads(1)
        self._coming: Future[CandidateRow] | None = None
        self._below: CandidateRow | None = None
        self._next = rows  # which row comes after those made or begun; none before the first

    def make(self, row: int) -> tuple[CandidateRow, CandidateRow | None]:
        """The row and the one below it, if that is wanted and there is one; rows come in order. A further row is begun
        at once where there is a spare buffer for it, else by `go_on`. Raises what making them raised."""
        here = self._below or self._made(row)
        self._below = self._made(row + 1) if self._wants_below and row + 1 < self._rows else None
        return here, self._below

    def _made(self, row: int) -> CandidateRow:
        coming = self._coming or self._begin(row)
        made = coming.result()
        self._coming, self._next = None, row + 1
        if self._maker.spare:
            self.go_on()
        return made

    def go_on(self) -> None:
        """Begin a further row, if there is one and it is not begun yet: the first of those handed out, whose buffer it
        may take, is done with."""
        if self._coming is None and self._next < self._rows:
            self._coming = self._begin(self._next)

    def _begin(self, row: int) -> Future[CandidateRow]:
        return self._pool.submit(self._maker.make, row)

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
