"""`upimagine sort CATALOG`: keep or reject pictures by swipes, on phones or with keys."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, UseAppendAction, arg

from upimagine.cli.frame import parse, progress, tell, warn
from upimagine.cli.invitation import Invitation

if TYPE_CHECKING:
    from upimagine.data.catalog import Catalog

_HELD_BY_TASTE = 40
"""Pictures that a page holds when the order follows the taste: what it holds is not reordered."""


@dataclass(frozen=True)
class Arguments:
    """Sort a catalog's pictures by swipes: right keeps, left rejects, up is unsure. Ctrl-C ends it.

    Only this machine can reach the page, unless --lan is given: then phones in the same network can, by a QR code.
    """

    catalog: Positional[Path]
    """made by `upimagine prepare`"""
    which: Literal["clean", "flagged", "all", "keep", "reject", "unsure"] = "clean"
    """pictures: by flags, those without a verdict; or those with one, once more"""
    order: Literal["path", "random", "doubtful", "best"] = "path"
    """doubtful and best: as a taste model sees them that learns from the verdicts"""
    lan: bool = False
    """let phones in, each by the code of the moment"""
    shared: bool = False
    """everybody sorts the whole stack, instead of each a part"""
    who: str = ""
    """in whose name; default: yours, or with --lan a guest's, until the page is told"""
    port: int = 8050
    """0: any free one; phones find their unsaved swipes again only at the same one"""
    swipelabel: Annotated[UseAppendAction[tuple[Path, ...]], arg(metavar="LOG")] = ()
    """only take over a log of SwipeLabel; repeatable"""
    taste: bool = False
    """only learn from the verdicts, and write every picture's chance to be kept into the catalog: its score `taste`"""
    json: bool = False
    """print the result as one JSON object"""


def run(arguments: list[str]) -> int:
    """Parse; import, learn or serve; print what has been said."""
    chosen = parse(Arguments, "sort", arguments)
    if chosen.swipelabel:
        return _import(chosen)
    if chosen.taste:
        return _learn(chosen)
    return _serve(chosen)


def _import(chosen: Arguments) -> int:
    from upimagine.data.catalog import Catalog, user
    from upimagine.data.swipelabel import import_swipelabel

    with Catalog(chosen.catalog) as catalog:
        swipes = older = troubles = 0
        for log in chosen.swipelabel:
            imported = import_swipelabel(catalog, log, chosen.who or user(), "upimagine sort --swipelabel")
            swipes, older, troubles = (
                swipes + imported.swipes,
                older + imported.older,
                troubles + len(imported.troubles),
            )
            for trouble in imported.troubles:
                warn(f"upimagine sort: {trouble}")
        line = f"{swipes} swipes taken over, {older} older than what was said since, {troubles} passed over"
        _report(catalog, chosen.json, {"swipes": swipes, "older": older, "passed_over": troubles}, line)
    return 3 if troubles else 0


def _learn(chosen: Arguments) -> int:
    from upimagine.choose.catalog_taste import TasteOfCatalog, write_taste
    from upimagine.data.catalog import Catalog
    from upimagine.data.verdicts import verdicts

    with Catalog(chosen.catalog, tool="upimagine sort --taste") as catalog:
        troubles = _look(catalog)
        tasted = TasteOfCatalog.open(catalog).learn(verdicts(catalog.connection))
        write_taste(catalog, tasted)
        sureness = tasted.sureness
        result = {"pictures": len(tasted.chances), **asdict(sureness), "interval": sureness.interval}
        line = f"score `taste` written for {len(tasted.chances)} pictures; {sureness}"
        _report(catalog, chosen.json, {"taste": result}, line)
    return 3 if troubles else 0


def _look(catalog: Catalog) -> int:
    """Make sure that all pictures have features; gives back how many cannot be read."""
    import cv2
    import torch

    from upimagine.choose.catalog_rows import fill_features

    torch.set_num_threads(1)  # the threads are across pictures
    cv2.setNumThreads(1)
    with progress() as watch:
        troubles = fill_features(catalog, watch=watch)
    for trouble in troubles:
        warn(f"upimagine sort: {trouble}")
    return len(troubles)


def _serve(chosen: Arguments) -> int:
    from upimagine.errors import UpimagineError

    try:
        from upimagine.studio.catalog_thread import CatalogThread
        from upimagine.studio.server import listen, serve
        from upimagine.studio.sort_app import make_stack, sort_app
        from upimagine.studio.sorting import Sorting
        from upimagine.studio.taste_order import TasteOrder
    except ModuleNotFoundError as error:
        raise UpimagineError(f"sorting needs {error.name}; pip install 'upimagine[studio]'") from error
    from upimagine.choose.catalog_taste import TasteOfCatalog, write_taste
    from upimagine.data.catalog import user

    asked = CatalogThread(chosen.catalog, "upimagine sort")
    try:
        shuffle = 0 if chosen.order == "random" else None
        stack = asked.now(lambda catalog: make_stack(catalog, chosen.which, shared=chosen.shared, shuffle=shuffle))
        if not len(stack):
            raise UpimagineError(_nothing(chosen))
        address = listen(chosen.port, chosen.lan)
        invitation = Invitation(address)
        newcomer = chosen.who or (None if chosen.lan else user())
        learned: TasteOrder | None = None
        if chosen.order in ("doubtful", "best"):
            asked.now(_look)
            sorting = Sorting(asked, stack, newcomer, most_held=_HELD_BY_TASTE)
            learned = TasteOrder(sorting, asked.now(TasteOfCatalog.open), chosen.order)
            warn(f"upimagine sort: {sorting.taste}")
        else:
            sorting = Sorting(asked, stack, newcomer)
        app = sort_app(asked, sorting, address.hosts, invitation.door)
        invitation.give()
        serve(app, address)
        if learned is not None and (tasted := learned.tasted) is not None:
            asked.now(lambda catalog: write_taste(catalog, tasted))
            warn(f"upimagine sort: score `taste` written; it was {tasted.sureness}")
        asked.now(lambda catalog: _report(catalog, chosen.json, {}))
    finally:
        asked.close()
    return 0


def _nothing(chosen: Arguments) -> str:
    if chosen.which in ("keep", "reject", "unsure"):
        return f"{chosen.catalog}: nothing was sorted as {chosen.which} yet; leave out --which"
    return f"{chosen.catalog}: all {chosen.which} pictures are sorted; give --which keep, unsure or all, say"


def _report(catalog: Catalog, as_json: bool, result: dict[str, Any], *lines: str) -> None:
    from collections import Counter

    from upimagine.data.verdicts import verdicts

    said = Counter(verdicts(catalog.connection).values())
    tell(
        as_json,
        {"catalog": str(catalog.path), **result, "verdicts": dict(said)},
        *lines,
        f"{catalog.path}: {said['keep']} keep, {said['reject']} reject, {said['unsure']} unsure",
    )
