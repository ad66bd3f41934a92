"""Means over processes through shared memory; threads stand in for the processes, which share as little as the room."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from upimagine.train import shared_mean
from upimagine.train.shared_mean import SharedMean

SHAPES = ((4, 3, 3, 3), (5,), (2, 6), (7, 2, 1, 1))


def side_by_side(processes: int, run: Callable[[int, Callable[[Any], Any], Callable[[], object]], Any]) -> list[Any]:
    """`run` for each rank at once, with how they tell and meet."""
    barrier, told = threading.Barrier(processes), []

    def rank(number: int) -> Any:
        def tell(what: Any) -> Any:
            if number == 0:
                told.append(what)
            barrier.wait(30)
            return told[-1]

        return run(number, tell, lambda: barrier.wait(30))

    with ThreadPoolExecutor(processes) as pool:
        return [each.result() for each in [pool.submit(rank, number) for number in range(processes)]]


def tensors(rank: int, turn: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(10 * rank + turn)
    made = [torch.randn(shape, generator=random) for shape in SHAPES]
    made[0] = made[0].contiguous(memory_format=torch.channels_last if rank % 2 else torch.contiguous_format)
    return made


@pytest.mark.parametrize("processes", [2, 3])
def test_every_process_gets_the_mean_of_all_turn_after_turn(processes: int) -> None:
    def run(rank: int, tell: Callable[[Any], Any], meet: Callable[[], object]) -> list[list[Tensor]]:
        shared = SharedMean(rank, processes, 4 * 27 + 5 + 12 + 14 + 100, tell, meet)
        given = []
        for turn in range(5):
            mine = tensors(rank, turn)[turn % 2 :]  # not always as many
            shared.mean(mine)
            given.append(mine)
        return given

    found = side_by_side(processes, run)
    for turn in range(5):
        everybodys = zip(*(tensors(rank, turn) for rank in range(processes)), strict=True)
        means = [torch.stack(some).mean(dim=0) for some in everybodys][turn % 2 :]
        for rank in range(processes):
            for ours, first, mean in zip(found[rank][turn], found[0][turn], means, strict=True):
                torch.testing.assert_close(ours, mean)
                assert torch.equal(ours, first), "the same bits everywhere"


@pytest.mark.parametrize("room", ["nowhere", "too little"])
def test_without_room_all_are_told(room: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if room == "nowhere":
        monkeypatch.setattr(shared_mean, "_MEMORY", tmp_path / "none")
    values = 8 if room == "nowhere" else 1 << 50

    def run(rank: int, tell: Callable[[Any], Any], meet: Callable[[], object]) -> str:
        with pytest.raises(OSError, match="no shared memory"):
            SharedMean(rank, 2, values, tell, meet)
        return "told"

    assert side_by_side(2, run) == ["told", "told"]
    assert not list(tmp_path.iterdir())
