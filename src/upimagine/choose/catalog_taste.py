"""A catalog's taste: learned from its verdicts, applied to its pictures only where that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from upimagine.choose.catalog_rows import TASTE, picture_rows
from upimagine.choose.logistic import Reals
from upimagine.choose.taste import Sureness, check_enough, learn_taste
from upimagine.data.catalog import Catalog
from upimagine.data.verdicts import Verdict

_BATCH = 5000


@dataclass(frozen=True)
class Tasted:
    """Pictures by number with their chance to be kept."""

    chances: dict[int, float]
    sureness: Sureness

    def best_first(self, pictures: list[int]) -> list[int]:
        """Of the pictures, those most likely to be kept first; those that could not be looked at last."""
        return sorted(pictures, key=lambda picture: -self.chances.get(picture, -1.0))

    def doubtful_first(self, pictures: list[int]) -> list[int]:
        """Of the pictures, those first that a swipe would teach most about (uncertainty sampling, Lewis, Gale 1994)."""
        return sorted(pictures, key=lambda picture: abs(self.chances.get(picture, 2.0) - 0.5))


@dataclass
class TasteOfCatalog:
    """The catalog's pictures as they were when it was opened, to learn from again and again."""

    numbers: list[int]
    rows: Reals
    _place: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self._place = {picture: row for row, picture in enumerate(self.numbers)}

    @classmethod
    def open(cls, catalog: Catalog) -> TasteOfCatalog:
        """With all pictures that have features (`fill_features`)."""
        return cls(*picture_rows(catalog))

    def learn(self, verdicts: Mapping[int, Verdict]) -> Tasted:
        """From keeps and rejects; who is unsure teaches nothing.

        Raises:
            UpimagineError: there are too few.
        """
        taught = {picture: word == "keep" for picture, word in sorted(verdicts.items()) if word != "unsure"}
        places = [self._place[picture] for picture in taught if picture in self._place]
        kept = np.array([word for picture, word in taught.items() if picture in self._place], bool)
        check_enough(int(kept.sum()), int((~kept).sum()))
        taste, unseen = learn_taste(self.rows[places], kept)
        chances = taste.chances(self.rows)
        chances[places] = unseen
        return Tasted(dict(zip(self.numbers, chances.tolist(), strict=True)), taste.sureness)


def write_taste(catalog: Catalog, tasted: Tasted) -> None:
    """Store the chances as the score `taste`, 0 to 1: a score like others, never a label."""
    chances = list(tasted.chances.items())
    # In parts, so that who swipes meanwhile does not wait for all of them.
    for start in range(0, len(chances), _BATCH):
        with catalog.writing() as connection:
            measure, writer = catalog.measure(TASTE), catalog.writer()
            connection.executemany(
                "INSERT OR REPLACE INTO scores (picture, measure, value, writer) VALUES (?, ?, ?, ?)",
                [(picture, measure, chance, writer) for picture, chance in chances[start : start + _BATCH]],
            )
