"""A large picture kept in a nameless file instead of in memory, and read from there as if it were in memory."""

from __future__ import annotations

import mmap
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from upimagine.pixels import atomic

_SMALL_BYTES = 32 << 20  # below this a file is not worth its while
_PIECE_BYTES = 8 << 20


class Mapped:
    """A tensor whose pages the system reads from a file as they are asked for, and may take back.

    The file has no name, so nothing of it is left when the process ends, however that happens. Small tensors, and those
    of another device, stay where they are.
    """

    def __init__(self, tensor: Tensor, folder: str | Path) -> None:
        """Move a tensor's values into a file in `folder`. Raises UpimagineError when the disk is full."""
        self._map: mmap.mmap | None = None
        self.tensor = tensor
        """The same values."""
        if tensor.device.type != "cpu" or tensor.nbytes < _SMALL_BYTES:
            return
        flat = tensor.contiguous().flatten()
        step = _PIECE_BYTES // tensor.element_size()
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                for first in range(0, len(flat), step):
                    file.write(flat[first : first + step].numpy().data)
                file.flush()
                # Writable only because torch warns of tensors that are not; nobody writes to it.
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except OSError as error:
            raise atomic.trouble(error, Path(folder)) from error
        self.tensor = torch.frombuffer(self._map, dtype=tensor.dtype).view(tensor.shape)

    def let_go(self) -> None:
        """Give back the memory of all that was read so far; what is read again comes from the file."""
        if self._map is not None and hasattr(self._map, "madvise"):  # not on Windows
            self._map.madvise(mmap.MADV_DONTNEED)
