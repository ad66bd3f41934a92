"""A tournament of pairs in the browser: which of two is better, kept in a catalog of its own, to go on at any time."""

from __future__ import annotations

import functools
import hashlib
import threading
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from upimagine.choose.tournament import Duel, next_duel, standing
from upimagine.data.catalog import Catalog
from upimagine.data.duels import Outcome, duels_among, give_duel
from upimagine.data.scan import scan
from upimagine.errors import UpimagineError
from upimagine.studio.catalogs import TOOL
from upimagine.studio.opened import Opened
from upimagine.studio.pictures import ContentId
from upimagine.studio.refusals import REFUSED, told

CATALOG = "tournament.db"
"""In the opened folder: no catalog of training pictures, among which made ones would get lost."""
_MOST = 64
_SAID: dict[str, Outcome | None] = {"left": "better", "right": "worse", "even": "even", "back": None}
_WON = {"better": 1.0, "worse": 0.0, "even": 0.5}


class Entrants(BaseModel):
    """Who competes for how many places."""

    pictures: Annotated[list[ContentId], Field(min_length=2, max_length=_MOST)]
    keep: Annotated[int, Field(ge=1, le=_MOST)] = 4


class Said(Entrants):
    """What was said of a pair; back: nothing after all."""

    left: ContentId
    right: ContentId
    said: Literal["left", "right", "even", "back"]


class State(BaseModel):
    """How it stands."""

    pair: tuple[str, str] | None
    """To be shown next; None: the best are told from the rest."""
    order: list[str]
    """Best first, as far as is known."""
    played: int
    kept_in: str


def tournament_routes(opened: Opened) -> APIRouter:
    """Entering, and saying which is better. What was said lives in the catalog alone: any entrants may go on."""
    router, one = APIRouter(), threading.Lock()

    @router.post("/api/tournament", responses=REFUSED)
    def enter(entrants: Entrants) -> State:
        """Where a tournament of these pictures stands."""
        with told(), one:
            contents = _contents(opened, entrants.pictures)
            if not (opened.folder / CATALOG).exists():  # nothing is written before anything is said
                return _state([], list(contents), entrants.keep)
            with _catalog(opened) as catalog:
                return _stands(catalog, contents, entrants.keep)

    @router.post("/api/tournament/said", responses=REFUSED)
    def said(word: Said) -> State:
        """Keep what was said of a pair, and tell the next one."""
        with told(), one:
            contents = _contents(opened, word.pictures)
            if word.left not in contents or word.right not in contents or word.left == word.right:
                raise HTTPException(404, "these two are not in the tournament")
            with _catalog(opened) as catalog:
                _make_known(catalog, opened, word)
                give_duel(catalog, contents[word.left], contents[word.right], _SAID[word.said])
                return _stands(catalog, contents, word.keep)

    return router


def _catalog(opened: Opened) -> Catalog:
    path = opened.folder / CATALOG
    if not opened.holds(path):
        raise UpimagineError(f"{CATALOG} is a link to elsewhere; move it away")
    return Catalog(path, create=True, tool=TOOL)


def _contents(opened: Opened, pictures: list[str]) -> dict[str, bytes]:
    """Number in the folder to SHA-256 of the content; of files with the same content the first one competes."""
    found: dict[bytes, str] = {}
    for picture in pictures:
        thing = opened.get(picture, "picture")
        if thing is None:
            raise HTTPException(404, "a picture is not there any more")
        found.setdefault(_sha256(thing.id, thing.path), picture)
    if len(found) < 2:
        raise UpimagineError("all of them are the same picture")
    return {picture: content for content, picture in found.items()}


@functools.lru_cache(maxsize=4096)
def _sha256(thing_id: str, path: Path) -> bytes:
    """Of the file as it was when it got its number."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _make_known(catalog: Catalog, opened: Opened, word: Said) -> None:
    things = [opened.get(side, "picture") for side in (word.left, word.right)]
    scan(catalog, [thing.path for thing in things if thing is not None], threads=1)


def _stands(catalog: Catalog, contents: dict[str, bytes], keep: int) -> State:
    place = {content: index for index, content in enumerate(contents.values())}
    said = duels_among(catalog, list(place))
    duels = [Duel(place[first], place[second], _WON[outcome]) for first, second, outcome in said]
    return _state(duels, list(contents), keep)


def _state(duels: list[Duel], entrants: list[str], keep: int) -> State:
    now = standing(len(entrants), duels)
    pair = next_duel(now, duels, keep)
    return State(
        pair=None if pair is None else (entrants[pair[0]], entrants[pair[1]]),
        order=[entrants[index] for index in now.order()],
        played=len({frozenset((duel.first, duel.second)) for duel in duels}),
        kept_in=CATALOG,
    )
