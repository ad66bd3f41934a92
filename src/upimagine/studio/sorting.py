"""Sorting a catalog by swipes: one message a page brings what was swiped and takes away what comes next."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from upimagine.data.catalog import Catalog
from upimagine.data.swipes import Swipe, SwipeBook, Taken
from upimagine.data.verdicts import Verdict
from upimagine.studio.catalog_thread import CatalogThread
from upimagine.studio.people import Person, people
from upimagine.studio.stack import Stack

Content = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Who = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40, pattern=r"^[^\x00-\x1f]*$")]


class SwipeSent(BaseModel):
    """One swipe, or the undoing of one."""

    model_config = ConfigDict(extra="forbid")
    uuid: UUID
    picture: Content
    verdict: Verdict | None = None
    undoes: UUID | None = None
    ago_ms: Annotated[int, Field(ge=0, le=90 * 86_400_000)] = 0
    """How long ago it was made, by the page's clock alone."""


class Message(BaseModel):
    """What a page says: who it is, what was swiped, what it holds and how much more it would like."""

    model_config = ConfigDict(extra="forbid")
    catalog: str
    """The id that `About` gave: swipes made on one catalog must not end up in another."""
    hand: UUID
    """The page's own name."""
    who: Who
    swipes: Annotated[list[SwipeSent], Field(max_length=500)] = []
    holds: Annotated[list[Content], Field(max_length=1000)] = []
    want: Annotated[int, Field(ge=0, le=500)] = 0


class Answer(BaseModel):
    """What a page is told. Everything in its message is on the disk by now."""

    others: dict[UUID, dict[str, Verdict]]
    """For each swipe of a picture that others have sorted, too: what they said."""
    unknown: list[Content]
    """Pictures that the catalog does not know; their swipes are not written."""
    gone: list[Content]
    more: list[Content]
    left: int
    taste: str | None
    """How sure the taste model is, where one orders the stack."""


class About(BaseModel):
    """What is sorted here."""

    catalog: str
    name: str
    pictures: int
    shared: bool
    who: str
    """A name for a newcomer."""


class Table(BaseModel):
    """Who sorts."""

    people: list[Person]
    taste: str | None


_REFUSALS: dict[int | str, dict[str, object]] = {
    400: {"description": "no text"},
    409: {"description": "another catalog is sorted here"},
}


class Sorting:
    """The stack of one catalog with the routes that deal from it. Routes run on the event loop's thread."""

    def __init__(
        self,
        asked: CatalogThread,
        stack: Stack,
        newcomer: str | None,
        on_swiped: Callable[[int], None] = lambda swipes: None,
        most_held: int = 500,
    ) -> None:
        """Take a stack of the catalog's pictures.

        Args:
            asked: the catalog.
            stack: of picture numbers.
            newcomer: a name for whoever comes; None: a new one for each.
            on_swiped: called after each message that brought swipes, with their number.
            most_held: by a page; few where the order changes with every swipe.
        """
        self._asked, self.stack, self._newcomer, self.on_swiped = asked, stack, newcomer, on_swiped
        self._most_held = most_held
        self._names = set(stack.said)
        self._swiped_at: dict[str, list[float]] = {}
        self._book = asked.now(lambda catalog: SwipeBook(catalog, "upimagine sort"))
        self.catalog, self._content = asked.now(_identity)
        self._name = asked.now(lambda catalog: catalog.path.name)
        self._number = {content: number for number, content in self._content.items()}
        self.taste: str | None = None

    def routes(self) -> APIRouter:
        """`POST /sort/message`, `GET /sort/about`, `GET /sort/people`."""
        router = APIRouter(prefix="/sort")
        router.post("/message", responses=_REFUSALS)(self.message)
        router.get("/about")(self.about)
        router.get("/people")(self.people)
        return router

    async def message(self, message: Message) -> Answer:
        """Take swipes down, then deal."""
        if message.catalog != self.catalog:
            raise HTTPException(409, "another catalog is sorted here now")
        swipes = [self._swipe(sent) for sent in message.swipes]
        taken: list[Taken] = []
        if swipes:
            taken = await self._asked.ask(lambda _: self._book.take_down(message.who, swipes))
        hand, others, unknown = str(message.hand), {}, []
        for sent, became in zip(message.swipes, taken, strict=True):
            if became.picture is None:
                unknown.append(sent.picture)
                continue
            self.stack.note(hand, message.who, became.picture, became.verdict)
            if sent.undoes is None:
                self._swiped_at.setdefault(message.who, []).append(time.monotonic() - sent.ago_ms / 1000)
            if said := self.stack.others(message.who, became.picture):
                others[sent.uuid] = said
        holds = [self._number[content] for content in message.holds if content in self._number]
        want = max(0, min(message.want, self._most_held - len(holds)))
        dealt = self.stack.deal(hand, message.who, holds, want)
        if swipes:
            self.on_swiped(len(swipes))
        return Answer(
            others=others,
            unknown=unknown,
            gone=[self._content[number] for number in dealt.gone],
            more=[self._content[number] for number in dealt.more],
            left=dealt.left,
            taste=self.taste,
        )

    async def about(self) -> About:
        """What is sorted, and a name for whoever asks."""
        return About(
            catalog=self.catalog,
            name=self._name,
            pictures=len(self.stack),
            shared=self.stack.shared,
            who=self._newcomer or self._new_name(),
        )

    async def people(self) -> Table:
        """Everybody's count, pace and agreement."""
        return Table(people=people(self.stack.said, self._swiped_at), taste=self.taste)

    def _new_name(self) -> str:
        name = next(name for number in itertools.count(1) if (name := f"guest {number}") not in self._names)
        self._names.add(name)
        return name

    def _swipe(self, sent: SwipeSent) -> Swipe:
        given = datetime.now(UTC) - timedelta(milliseconds=sent.ago_ms)
        return Swipe(
            sent.uuid,
            bytes.fromhex(sent.picture),
            sent.verdict,
            sent.undoes,
            given.isoformat(timespec="microseconds"),
        )


def _identity(catalog: Catalog) -> tuple[str, dict[int, str]]:
    """What tells this catalog from others, wherever its file lies: its first sitting; and its pictures' contents."""
    first = catalog.connection.execute("SELECT who, tool, began FROM writers ORDER BY id LIMIT 1").fetchone()
    contents = catalog.connection.execute("SELECT id, lower(hex(sha256)) FROM pictures")
    return hashlib.sha256(repr(first).encode()).hexdigest()[:16], dict(contents)
