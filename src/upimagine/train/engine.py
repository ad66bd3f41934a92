"""The one file that knows Lightning Fabric: device, precision, processes, seeds and gradient scaling."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, distributed, nn
from torch.optim import Optimizer

from upimagine.errors import UpimagineError
from upimagine.processor import bf16_is_faster, pick_device
from upimagine.train.settings import LoopSettings
from upimagine.train.shared_mean import SharedMean

_FABRIC_PRECISION = {"float32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
_PART_STRIDE = 0x9E3779B97F4A7C15  # odd, and far beyond the number of steps: no part meets another's numbers
_MOST_PARTS = 1 << 16


class PeerLostError(UpimagineError):
    """Another process of this run has ended."""


def is_further_process() -> bool:
    """Whether this process was started by the first one of its run, which does all the telling."""
    return int(os.environ.get("LOCAL_RANK", "0")) > 0


class Engine:
    """Where, by how many processes and in which number format a run computes.

    With several processes the command that runs now is run again for each further one (Fabric's "ddp"), and each takes
    its share of every batch. Gradients are shared once they are complete, not through a wrapped module: a phase may
    call any method of any network, and parts may be added up first.
    """

    def __init__(self, settings: LoopSettings) -> None:
        device = pick_device(settings.device)
        precision = settings.precision
        if precision == "auto":
            precision = "bf16" if bf16_is_faster(device) else "float32"
        kind, _, number = device.partition(":")
        if precision == "fp16" and kind != "cuda":
            raise UpimagineError("--precision fp16 needs an NVIDIA GPU; use bf16 or float32 here")
        self.processes = settings.processes
        self.parts = settings.accumulate
        """Equal parts of each process's rows, one after the other; more once memory has run out."""
        if number and self.processes > 1:
            raise UpimagineError(f"--device {device} is one device; --processes {self.processes} needs --device {kind}")
        self.precision = precision
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it greets by name
        self._fabric = Fabric(
            accelerator=kind,
            devices=[int(number)] if number else self.processes,
            strategy="ddp" if self.processes > 1 else "auto",
            precision=_FABRIC_PRECISION[precision],  # type: ignore[arg-type]  # Fabric lists its words as literals
        )
        self._fabric.launch()
        torch.set_num_threads(settings.threads or max(1, (os.cpu_count() or 1) // self.processes))
        self._seed = settings.seed
        self._shared: SharedMean | None = None
        self._shares = True  # until that has failed

    @property
    def device(self) -> torch.device:
        """Where tensors live."""
        return self._fabric.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and tells."""
        return self._fabric.global_rank == 0

    def place(self, net: nn.Module) -> nn.Module:
        """Move a network to the device, channels last (2-3x faster convolutions on CPU and GPU alike)."""
        return net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def place_batch(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """This process's rows of a batch, on the device; pictures channels last.

        Raises UpimagineError when the rows are not for all alike.
        """
        placed = {}
        for name, tensor in batch.items():
            rows, left = divmod(len(tensor), self.processes)
            if left:
                raise UpimagineError(
                    f"a step of {len(tensor)} pictures cannot be divided equally among --processes {self.processes}; "
                    "use other batches"
                )
            own = tensor[self._fabric.global_rank * rows :][:rows]
            moved = own.to(self.device, non_blocking=True)
            placed[name] = moved.contiguous(memory_format=torch.channels_last) if moved.dim() == 4 else moved
        return placed

    def setup_optimizer(self, optimizer: Optimizer) -> Any:
        """Wrap for gradient scaling where the precision needs it."""
        return self._fabric.setup_optimizers(optimizer)

    def autocast(self) -> AbstractContextManager[Any]:
        """Mixed precision inside this context."""
        return self._fabric.autocast()

    def backward(self, loss: Tensor) -> None:
        """Gradients, scaled where the precision needs it."""
        self._fabric.backward(loss)

    def seed_step(self, step: int, part: int = 0) -> None:
        """Give this step's part its own random numbers, so that nothing random has to be stored in a checkpoint.

        Each process has its own, too, but in steps below 0, where all begin alike.
        """
        number = (self._fabric.global_rank * _MOST_PARTS if step >= 0 else 0) + part
        torch.manual_seed((self._seed * 1_000_003 + step + number * _PART_STRIDE) % (1 << 63))

    def share_gradients(self, parameters: Iterable[Tensor]) -> None:
        """In place of its own gradients each process gets the mean of all. Raises PeerLostError."""
        if self.processes == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        shared = self._room_for(sum(gradient.numel() for gradient in gradients))
        if shared is not None and all(gradient.dtype == torch.float32 for gradient in gradients):
            shared.mean(gradients)
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        self._meet(partial(distributed.all_reduce, flat))
        parts = torch.split(flat / self.processes, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def _room_for(self, values: int) -> SharedMean | None:
        """Memory that all processes see, or None where there is none."""
        if self.device.type == "cpu" and self._shares and (self._shared is None or self._shared.values < values):
            meet = partial(self._meet, distributed.barrier)
            try:
                self._shared = SharedMean(self._fabric.global_rank, self.processes, values, self.from_first, meet)
            except OSError:  # as all the others
                self._shared, self._shares = None, False
        return self._shared

    def share_buffers(self, nets: Iterable[nn.Module]) -> None:
        """All processes take the first one's buffers, as in DDP: what networks have counted. Raises PeerLostError."""
        if self.processes > 1:
            for net in nets:
                for buffer in net.buffers():
                    self._meet(partial(distributed.broadcast, buffer, 0))

    def anywhere(self, flag: bool) -> bool:
        """Whether any process says so. Raises PeerLostError."""
        if self.processes == 1:
            return flag
        told = torch.tensor(float(flag), device=self.device)
        self._meet(partial(distributed.all_reduce, told))
        return bool(told > 0)

    def from_first(self, thing: Any) -> Any:
        """What the first process has. Raises PeerLostError."""
        if self.processes == 1:
            return thing
        return self._meet(partial(self._fabric.broadcast, thing))

    def scaler_state(self) -> dict[str, Any]:
        """State of the gradient scaler (empty unless fp16)."""
        return dict(self._fabric._precision.state_dict())

    def load_scaler_state(self, state: dict[str, Any]) -> None:
        """Restore `scaler_state`."""
        self._fabric._precision.load_state_dict(state)

    def _meet(self, exchange: Callable[[], Any]) -> Any:
        try:
            return exchange()
        except RuntimeError as error:  # gloo and NCCL know no kinds of their own
            raise PeerLostError(
                "another process of this run has ended; the last checkpoint is sound, and the same command goes on"
            ) from error
