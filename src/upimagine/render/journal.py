"""How far a rendering has come, so that it can go on after its process died."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Journal(Protocol):
    """Keeps the state of one rendering beside its output.

    The renderer asks `due` after each tile row and, if so, saves once all finished rows are with the sink. Whoever
    keeps the journal brings the sink back to the rows that it had then.
    """

    def load(self) -> dict[str, Tensor] | None:
        """The last state saved by the same rendering, or None at its beginning."""
        ...

    def due(self) -> bool:
        """Whether enough has been done since the last time that it would be a pity to lose it."""
        ...

    def save(self, state: dict[str, Tensor]) -> None:
        """Keep the state in place of the last one, whole or not at all."""
        ...


def part(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The entries of a state whose names begin with `name.`, without that."""
    return {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}


def parts(**states: dict[str, Tensor]) -> dict[str, Tensor]:
    """Several states in one; `part` takes them out again."""
    return {f"{name}.{key}": value for name, state in states.items() for key, value in state.items()}
