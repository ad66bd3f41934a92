"""Calls side by side: every item once, the same results, errors in order, memory that runs out."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.render.network import NetworkCalls

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 3])
def calls(request: pytest.FixtureRequest) -> Iterator[NetworkCalls]:
    """With one thread and with three."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    with NetworkCalls(6, CPU) as calls:
        yield calls
    assert torch.get_num_threads() == request.param, "the pool must leave the caller's threads alone"
    torch.set_num_threads(before)


def squares(items: slice) -> Tensor:
    return torch.arange(items.start, items.stop).float().square()


def test_every_item_is_stored_once(calls: NetworkCalls) -> None:
    found = torch.full((23,), -1.0)

    def store(items: slice, results: Tensor) -> None:
        assert (found[items] == -1).all()
        found[items] = results

    calls.run(23, squares, store, str)
    assert torch.equal(found, torch.arange(23).float().square())
    assert calls.batch == 6
    assert calls.seconds > 0


def test_work_runs_without_gradients(calls: NetworkCalls) -> None:
    weight = torch.ones(1, requires_grad=True)
    tracked: list[bool] = []
    calls.run(9, lambda items: weight * squares(items), lambda _, out: tracked.append(out.requires_grad), str)
    assert tracked
    assert not any(tracked)


def test_the_first_error_rises_and_the_rest_has_ended(calls: NetworkCalls) -> None:
    running: set[int] = set()
    lock = threading.Lock()

    def call(items: slice) -> Tensor:
        with lock:
            running.add(items.start)
        if items.start >= 2:
            raise ValueError(f"from {items.start}")
        return squares(items)

    def store(items: slice, results: Tensor) -> None:
        with lock:
            running.discard(items.start)

    with pytest.raises(ValueError, match="from") as error:
        calls.run(20, call, store, str)
    assert int(str(error.value).removeprefix("from ")) == min(running)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_out_of_memory_halves_until_it_fits(calls: NetworkCalls, most: int) -> None:
    found = torch.full((17,), -1.0)

    def call(items: slice) -> Tensor:
        if items.stop - items.start > most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return squares(items)

    def store(items: slice, results: Tensor) -> None:
        found[items] = results

    calls.run(17, call, store, str)
    assert torch.equal(found, torch.arange(17).float().square())


def test_memory_that_several_calls_at_once_exceed_is_found_one_by_one() -> None:
    """Side by side nothing fits, alone everything does."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    inside = 0
    together = threading.Barrier(2)
    met = threading.Event()
    lock = threading.Lock()
    found = torch.full((8,), -1.0)

    def call(items: slice) -> Tensor:
        nonlocal inside
        with lock:
            inside += 1
        try:
            if not met.is_set():
                together.wait(timeout=20)  # both are in
                met.set()
                raise MemoryError
            return squares(items)
        finally:
            with lock:
                inside -= 1

    def store(items: slice, results: Tensor) -> None:
        found[items] = results

    with NetworkCalls(4, CPU) as calls:
        calls.run(8, call, store, str)
        assert calls.batch < 4
    torch.set_num_threads(before)
    assert torch.equal(found, torch.arange(8).float().square())


def test_an_item_that_never_fits_is_named(calls: NetworkCalls) -> None:
    def call(items: slice) -> Tensor:
        if items.start <= 4 < items.stop:
            raise MemoryError
        return squares(items)

    with pytest.raises(UpimagineError, match="out of memory on tile 4"):
        calls.run(9, call, lambda items, results: None, lambda item: f"tile {item}")
    assert calls.out_of_memory
