"""A run that goes on with other settings because it was asked to, and tells of it ever after."""

from __future__ import annotations

from typing import Any

from upimagine.errors import UpimagineError
from upimagine.train.checkpoint import changed_settings

#: Without these a step is no longer the place in the data that it was.
_FIXED = ("batch", "seed", "pictures", "hold_out", "held_out", "init_from")


def retuned(before: dict[str, Any], now: dict[str, Any], kimg: float) -> list[dict[str, Any]]:
    """All retunings of a run whose checkpoint has the settings `before`, with the one to `now`, if that is one.

    Each tells the kimg at which it came, and its `changes`, in words. Raises UpimagineError where a run's data, seed or
    task would be other ones.
    """
    earlier: list[dict[str, Any]] = before.get("retunes", [])
    changes = changed_settings({name: value for name, value in before.items() if name != "retunes"}, now)
    if before.get("task") != now.get("task"):
        held = changes
    else:
        held = [change for change in changes if change.split()[0] in _FIXED]
    if held:
        raise UpimagineError(
            f"--retune cannot help where {'; '.join(held)}; use another --out folder, with --init-from"
        )
    return [*earlier, {"kimg": kimg, "changes": changes}] if changes else earlier
