"""The stack that several people sort at once: who holds which pictures, who has said what, what comes next."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from upimagine.data.verdicts import Verdict

EXPIRES_S = 120.0
"""Pictures held by a page that has not been heard of for so long go back, first to be dealt."""


@dataclass
class _Pool:
    """What is still to be dealt: of everybody together, or of one person."""

    free: list[int]
    """A heap of ranks; some may have been sorted meanwhile."""
    done: set[int]
    """Pictures."""


@dataclass
class _Hand:
    """What one open page holds."""

    pool: str
    pictures: set[int] = field(default_factory=set)
    heard: float = 0.0


@dataclass(frozen=True)
class Dealt:
    """An answer to a page."""

    gone: list[int]
    """Of what it held: sorted by others, or held by them."""
    more: list[int]
    """To hold besides, in order."""
    left: int
    """How many this person could still sort, those that others hold included."""


class Stack:
    """Pictures in an order, dealt so that no two pages hold the same one, or, when shared, everybody gets all.

    In memory: the catalog knows the verdicts, and who holds what may be forgotten. For one thread.
    """

    def __init__(
        self,
        order: Sequence[int],
        said: Mapping[str, Mapping[int, Verdict]],
        *,
        shared: bool = False,
        again: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take pictures by number.

        Args:
            order: the pictures to sort.
            said: person to what they have said of pictures, also of others.
            shared: everybody sorts all of them.
            again: what was said before does not spare a picture from being sorted.
            clock: in seconds.
        """
        self._order = list(order)
        self._rank = {picture: rank for rank, picture in enumerate(self._order)}
        self.said: dict[str, dict[int, Verdict]] = {who: dict(words) for who, words in said.items()}
        self.shared, self._again, self._clock = shared, again, clock
        self._pools: dict[str, _Pool] = {}
        self._hands: dict[str, _Hand] = {}

    def __len__(self) -> int:
        return len(self._order)

    @property
    def order(self) -> list[int]:
        """All pictures, as they are dealt."""
        return list(self._order)

    def deal(self, hand: str, who: str, holds: Iterable[int], want: int) -> Dealt:
        """Give a page up to `want` pictures besides those that it says to hold; what it no longer holds goes back."""
        pool = self._pool(who)
        self._expire()
        mine = self._take_up(hand, who)
        held = set(holds)
        self._free(pool, mine.pictures - held)
        mine.pictures &= held
        others = self._held_by_others(hand, mine.pool)
        lost = {
            picture
            for picture in held
            if picture not in self._rank or picture in pool.done or (picture in others and picture not in mine.pictures)
        }
        mine.pictures = held - lost
        # Towards the end a page takes less, so that all have something to do until the last picture.
        left = len(self._order) - len(pool.done)
        hands = sum(each.pool == mine.pool for each in self._hands.values())
        room = min(want, max(left // (2 * hands), 4) - len(mine.pictures)) if hands > 1 else want
        more: list[int] = []
        while len(more) < room and pool.free:
            picture = self._order[heapq.heappop(pool.free)]
            if picture not in pool.done and picture not in mine.pictures and picture not in others:
                more.append(picture)
                mine.pictures.add(picture)
        if want and not mine.pictures:
            more = self._half_of_the_richest(mine, want)
            mine.pictures.update(more)
        return Dealt(sorted(lost), more, left)

    def note(self, hand: str, who: str, picture: int, verdict: Verdict | None) -> None:
        """A person has said something, or, with None, taken it back: then the page that did holds the picture again."""
        pool, words = self._pool(who), self.said.setdefault(who, {})
        mine = self._take_up(hand, who)
        if verdict is not None:
            words[picture] = verdict
            if picture in self._rank:
                pool.done.add(picture)
            mine.pictures.discard(picture)
            return
        words.pop(picture, None)
        if self.shared or self._again or not any(picture in each for each in self.said.values()):
            pool.done.discard(picture)
            for other in self._hands.values():  # one that was dealt it in the meantime is told when it speaks next
                if other.pool == mine.pool:
                    other.pictures.discard(picture)
            if picture in self._rank:
                mine.pictures.add(picture)

    def others(self, who: str, picture: int) -> dict[str, Verdict]:
        """What everybody else says of a picture."""
        return {other: words[picture] for other, words in self.said.items() if other != who and picture in words}

    def reorder(self, order: Sequence[int]) -> None:
        """Deal from now on in another order of the same pictures; what pages hold stays with them."""
        assert len(order) == len(self._order) and self._rank.keys() == set(order)
        self._order = list(order)
        self._rank = {picture: rank for rank, picture in enumerate(self._order)}
        for name, pool in self._pools.items():
            held = set().union(*(hand.pictures for hand in self._hands.values() if hand.pool == name))
            pool.free = [rank for rank, picture in enumerate(self._order) if picture not in pool.done | held]

    def left(self) -> list[int]:
        """Pictures that nobody has sorted, in order."""
        done = set().union(*(pool.done for pool in self._pools.values())) if self._pools else set()
        return [picture for picture in self._order if picture not in done]

    def _pool(self, who: str) -> _Pool:
        name = who if self.shared else ""
        if name not in self._pools:
            done: set[int] = set()
            if not self._again:
                words = [self.said.get(who, {})] if self.shared else list(self.said.values())
                done = {picture for each in words for picture in each} & self._rank.keys()
            # Ranks in rising order are a heap already.
            free = [rank for rank, picture in enumerate(self._order) if picture not in done]
            self._pools[name] = _Pool(free, done)
        return self._pools[name]

    def _take_up(self, hand: str, who: str) -> _Hand:
        """The page's hand, heard of just now; of another person, when that changed, an empty one."""
        pool = who if self.shared else ""
        mine = self._hands.get(hand)
        if mine is None or mine.pool != pool:
            if mine is not None:
                self._free(self._pools[mine.pool], mine.pictures)
            mine = self._hands[hand] = _Hand(pool)
        mine.heard = self._clock()
        return mine

    def _held_by_others(self, hand: str, pool: str) -> set[int]:
        return set().union(*(each.pictures for name, each in self._hands.items() if name != hand and each.pool == pool))

    def _half_of_the_richest(self, mine: _Hand, want: int) -> list[int]:
        """When nothing is free: the last ones of what another page holds, which is told so when it speaks next."""
        others = [hand for hand in self._hands.values() if hand is not mine and hand.pool == mine.pool]
        richest = max(others, key=lambda hand: len(hand.pictures), default=mine)
        taken = sorted(richest.pictures, key=self._rank.__getitem__)[(len(richest.pictures) + 1) // 2 :][:want]
        richest.pictures.difference_update(taken)
        return taken

    def _expire(self) -> None:
        silent = [name for name, hand in self._hands.items() if self._clock() - hand.heard > EXPIRES_S]
        for name in silent:
            hand = self._hands.pop(name)
            self._free(self._pools[hand.pool], hand.pictures)

    def _free(self, pool: _Pool, pictures: Iterable[int]) -> None:
        for picture in pictures:
            if picture not in pool.done:
                heapq.heappush(pool.free, self._rank[picture])
