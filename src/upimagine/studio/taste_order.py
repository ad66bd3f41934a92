"""The stack in the order of a taste that learns while people swipe."""

from __future__ import annotations

import asyncio
from typing import Literal

from upimagine.choose.catalog_taste import Tasted, TasteOfCatalog
from upimagine.data.verdicts import Verdict, majority
from upimagine.errors import UpimagineError
from upimagine.studio.sorting import Sorting

EVERY = 10
"""Swipes after which it learns anew."""

Order = Literal["doubtful", "best"]


class TasteOrder:
    """Learns in a thread, so that no swipe waits for it, and reorders what nobody holds. For the event loop."""

    def __init__(self, sorting: Sorting, taste: TasteOfCatalog, order: Order) -> None:
        self._sorting, self._taste, self._order = sorting, taste, order
        self.tasted: Tasted | None = None
        """The last that was learned."""
        self._swiped, self._learning = 0, False
        sorting.on_swiped = self._on_swiped
        self._apply(self._learn(majority(sorting.stack.said)))

    def _on_swiped(self, swipes: int) -> None:
        self._swiped += swipes
        if self._swiped >= EVERY and not self._learning:
            self._swiped, self._learning = 0, True
            self._task = asyncio.create_task(self._learn_anew())

    async def _learn_anew(self) -> None:
        try:
            self._apply(await asyncio.to_thread(self._learn, majority(self._sorting.stack.said)))
        finally:
            self._learning = False

    def _learn(self, verdicts: dict[int, Verdict]) -> Tasted | str:
        try:
            return self._taste.learn(verdicts)
        except UpimagineError as error:  # too few: more are on their way
            return str(error)

    def _apply(self, learned: Tasted | str) -> None:
        stack = self._sorting.stack
        if isinstance(learned, str):
            self._sorting.taste = f"Taste: {learned}."
            return
        self.tasted = learned
        order = learned.best_first if self._order == "best" else learned.doubtful_first
        stack.reorder(order(stack.order))
        self._sorting.taste = f"{self._order.capitalize()} first. The taste was {learned.sureness}."
