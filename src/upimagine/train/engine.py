"""The one file that knows Lightning Fabric: device, precision, seeds and gradient scaling."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from upimagine.errors import UpimagineError
from upimagine.processor import bf16_is_faster, pick_device
from upimagine.train.settings import LoopSettings

_FABRIC_PRECISION = {"float32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


class Engine:
    """Where and in which number format a run computes."""

    def __init__(self, settings: LoopSettings) -> None:
        device = pick_device(settings.device)
        precision = settings.precision
        if precision == "auto":
            precision = "bf16" if bf16_is_faster(device) else "float32"
        kind, _, number = device.partition(":")
        if precision == "fp16" and kind != "cuda":
            raise UpimagineError("--precision fp16 needs an NVIDIA GPU; use bf16 or float32 here")
        torch.set_num_threads(settings.threads or os.cpu_count() or 1)
        self.precision = precision
        self._fabric = Fabric(
            accelerator=kind,
            devices=[int(number)] if number else 1,
            precision=_FABRIC_PRECISION[precision],  # type: ignore[arg-type]  # Fabric lists its words as literals
        )
        self._fabric.launch()
        self._seed = settings.seed

    @property
    def device(self) -> torch.device:
        """Where tensors live."""
        return self._fabric.device

    def place(self, net: nn.Module) -> nn.Module:
        """Move a network to the device, channels last (2-3x faster convolutions on CPU and GPU alike)."""
        return net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def place_batch(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Move a batch to the device; pictures channels last."""
        placed = {}
        for name, tensor in batch.items():
            moved = tensor.to(self.device, non_blocking=True)
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

    def seed_step(self, step: int) -> None:
        """Give this step its own random numbers, so that nothing random has to be stored in a checkpoint."""
        torch.manual_seed((self._seed * 1_000_003 + step) % (1 << 63))

    def scaler_state(self) -> dict[str, Any]:
        """State of the gradient scaler (empty unless fp16)."""
        return dict(self._fabric._precision.state_dict())

    def load_scaler_state(self, state: dict[str, Any]) -> None:
        """Restore `scaler_state`."""
        self._fabric._precision.load_state_dict(state)
