"""A network states its input shape at the entrance, so that a wrong tensor fails there with words, not deep inside."""

from __future__ import annotations

from torch import Tensor


def assert_shape(tensor: Tensor, *expected: int | None, name: str = "input") -> None:
    """Raise ValueError unless the tensor has this shape; None stands for any size."""
    fits = tensor.dim() == len(expected) and all(
        want is None or have == want for have, want in zip(tensor.shape, expected, strict=False)
    )
    if not fits:
        wanted = ", ".join("any" if want is None else str(want) for want in expected)
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}, expected ({wanted})")
