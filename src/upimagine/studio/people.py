"""Who sorts: how many, how fast, and how much of one mind with the others."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from upimagine.data.verdicts import Verdict

_LATELY_S = 600.0


class Person(BaseModel):
    """One of those who sort."""

    who: str
    sorted: int
    per_hour: int | None
    """Of the last ten minutes; None for who has swiped too little in this sitting."""
    both: int
    """How many pictures have a verdict of theirs and of somebody else's; two others count twice."""
    agreed: int
    """Of these, how many have the same."""


def people(said: Mapping[str, Mapping[int, Verdict]], swiped_at: Mapping[str, Sequence[float]]) -> list[Person]:
    """Everybody, the most diligent first.

    Args:
        said: person to what they say of which picture.
        swiped_at: person to the times of their swipes, by `time.monotonic`.
    """
    table = []
    for who, words in said.items():
        both = agreed = 0
        for other, theirs in said.items():
            if other != who:
                common = words.keys() & theirs.keys()
                both += len(common)
                agreed += sum(words[picture] == theirs[picture] for picture in common)
        pace = _per_hour(swiped_at.get(who, ()))
        table.append(Person(who=who, sorted=len(words), per_hour=pace, both=both, agreed=agreed))
    return sorted(table, key=lambda person: (-person.sorted, person.who))


def _per_hour(times: Sequence[float]) -> int | None:
    lately = [moment for moment in times if time.monotonic() - moment < _LATELY_S]
    seconds = max(lately) - min(lately) if len(lately) >= 10 else 0.0
    return round((len(lately) - 1) / seconds * 3600) if seconds > 0 else None
