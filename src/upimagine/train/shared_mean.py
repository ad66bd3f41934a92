"""The mean of what several processes of one machine have computed, through memory that all of them see.

A collective library sends numbers through sockets, also from a process to its neighbour: for the gradients of a DCGAN,
50 MB a network, that takes as long as a good part of the step they come from.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

_MEMORY = Path("/dev/shm")  # files here lie in memory


class SharedMean:
    """Room for float32 values: a row for each process, and one for the mean.

    Every process makes one at the same time, and then calls `mean` in the same order.

    Args:
        rank: number of this process.
        processes: how many there are.
        values: the most that one mean takes.
        tell: gives in all processes what it was given in the first.
        meet: returns once all processes have called it.

    Raises OSError, in all processes, where there is no such room.
    """

    def __init__(
        self, rank: int, processes: int, values: int, tell: Callable[[Any], Any], meet: Callable[[], object]
    ) -> None:
        self._rank, self._processes, self.values, self._meet = rank, processes, values, meet
        count = values * (processes + 1)
        file = _room(4 * count) if rank == 0 else None
        name = tell(None if file is None else file.name)
        if name is None:
            raise OSError("no shared memory")
        self._rows = torch.from_file(name, shared=True, size=count).view(processes + 1, values)
        meet()
        if file is not None:
            file.close()  # and its name is gone; the memory goes with the processes

    def mean(self, tensors: Sequence[Tensor]) -> None:
        """In place of its own each process gets the mean of all: the same numbers everywhere, added up by rank.

        The tensors are float32 and have the same shapes in all processes.
        """
        used = sum(tensor.numel() for tensor in tensors)
        torch._foreach_copy_(_slots(self._rows[self._rank], tensors), list(tensors))
        self._meet()
        first, last = (used * place // self._processes for place in (self._rank, self._rank + 1))
        total = self._rows[-1, first:last]
        torch.add(self._rows[0, first:last], self._rows[1, first:last], out=total)
        for row in self._rows[2:-1]:
            total += row[first:last]
        total /= self._processes
        self._meet()  # from here on rows of one's own may be written again
        torch._foreach_copy_(list(tensors), _slots(self._rows[-1], tensors))


def _room(size: int) -> IO[bytes] | None:
    """A file of this size in memory, or None: what is promised and not there would end the process."""
    if not (hasattr(os, "posix_fallocate") and _MEMORY.is_dir()):
        return None
    try:
        file = tempfile.NamedTemporaryFile(prefix="upimagine-", dir=_MEMORY)  # noqa: SIM115 (outlives the function)
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError:
        return None
    return file


def _slots(row: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Places of the row, one after the other, in the tensors' shapes; maps channels last, as networks hold them."""
    slots, at = [], 0
    for tensor in tensors:
        place = row[at : at + tensor.numel()]
        at += tensor.numel()
        if tensor.dim() == 4:
            outputs, inputs, height, width = tensor.shape
            slots.append(place.view(outputs, height, width, inputs).permute(0, 3, 1, 2))
        else:
            slots.append(place.view(tensor.shape))
    return slots
