"""A catalog's taste, applied to pictures that are not in it: candidates as their maker would swipe them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from upimagine.choose.catalog_rows import VERSION, along_axes
from upimagine.choose.taste import Sureness, check_enough, learn_taste
from upimagine.data.catalog import Catalog
from upimagine.data.verdicts import verdicts


@dataclass(frozen=True)
class Taught:
    """Pictures of a catalog that were kept or rejected, as they look: nothing else is known of candidates, too."""

    vectors: NDArray[np.float16]  # (T, 896)
    kept: NDArray[np.bool_]

    @classmethod
    def by(cls, catalog: Catalog) -> Taught:
        """From its verdicts; the pictures must have been looked at (`fill_features`).

        Raises:
            UpimagineError: there are too few.
        """
        words = verdicts(catalog.connection)
        rows = catalog.connection.execute(
            "SELECT picture, vector FROM features WHERE version = ? ORDER BY picture", (VERSION,)
        )
        sure = [(vector, words[picture]) for picture, vector in rows if words.get(picture, "unsure") != "unsure"]
        kept = np.array([word == "keep" for _, word in sure], bool)
        check_enough(int(kept.sum()), int((~kept).sum()))
        return cls(np.stack([np.frombuffer(vector, np.float16) for vector, _ in sure]), kept)

    def taste(self, vectors: NDArray[np.float16]) -> tuple[Tensor, Sureness]:
        """Features (N, 896), as `features_of` gives, to the log odds (N,) of being kept; and how sure the taste is."""
        places = along_axes(np.concatenate([self.vectors, vectors]))
        taste, _ = learn_taste(places[: len(self.kept)], self.kept)
        chances = np.clip(taste.chances(places[len(self.kept) :]), 1e-6, 1 - 1e-6)
        return torch.from_numpy(np.log(chances / (1 - chances))), taste.sureness
