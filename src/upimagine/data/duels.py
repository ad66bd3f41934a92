"""What people said of pairs of pictures, kept as labels: each person's last word on each pair, with its history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from upimagine.data.catalog import Catalog
from upimagine.data.labelling import give_label

Outcome = Literal["better", "worse", "even"]
_PREFIX = "duel "
_TURNED: dict[Outcome, Outcome] = {"better": "worse", "worse": "better", "even": "even"}


def give_duel(catalog: Catalog, first: bytes, second: bytes, outcome: Outcome | None) -> None:
    """Say how the first picture compares with the second, both by SHA-256; None takes back what was said.

    Raises:
        UpimagineError: the catalog does not know the pictures.
        ValueError: they are one.
    """
    if first == second:
        raise ValueError("a picture cannot be compared with itself")
    if first > second:  # one label a pair, whichever way round it was shown
        first, second, outcome = second, first, None if outcome is None else _TURNED[outcome]
    give_label(catalog, first, f"{_PREFIX}{second.hex()}", outcome)


def duels_among(catalog: Catalog, pictures: Sequence[bytes]) -> list[tuple[bytes, bytes, Outcome]]:
    """Everybody's last words on pairs of these pictures, none of them taken back; the smaller SHA-256 first."""
    known = set(pictures)
    last: dict[tuple[bytes, bytes, str], Outcome | None] = {}
    for picture in dict.fromkeys(pictures):
        rows = catalog.connection.execute(
            """SELECT labels.name, labels.value, who FROM labels JOIN writers ON writers.id = labels.writer
            JOIN pictures ON pictures.id = labels.picture
            WHERE sha256 = ? AND labels.name GLOB ? ORDER BY labels.id""",
            (picture, f"{_PREFIX}*"),
        )
        for name, value, who in rows:
            other = bytes.fromhex(name.removeprefix(_PREFIX))
            if other in known:
                last[picture, other, who] = value
    return [(first, second, outcome) for (first, second, _), outcome in last.items() if outcome is not None]
