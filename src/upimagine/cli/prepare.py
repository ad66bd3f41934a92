"""`upimagine prepare SOURCE… --into CATALOG`: scan pictures into a catalog, flag the bad ones, take out the good."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, UseAppendAction, arg

from upimagine.cli.frame import parse, progress, tell, warn

if TYPE_CHECKING:
    from upimagine.data.catalog import Catalog
    from upimagine.data.cutting import Cut
    from upimagine.data.scan import Scanned
    from upimagine.data.thresholds import FlagState


@dataclass(frozen=True)
class Out:
    """What is taken out of the catalog."""

    page: Annotated[Path | None, arg(metavar="HTML", help_behavior_hint="")] = None
    """write a page that shows the worst pictures by each flag"""
    export: Annotated[UseAppendAction[tuple[Path, ...]], arg(metavar="TABLE")] = ()
    """write a table (.csv .jsonl .parquet), one row a picture; repeatable"""
    links: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="")] = None
    """make a folder of links to the pictures"""
    aligned: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="")] = None
    """cut every face out into a folder: eyes level, mouth at one place, each a picture of its own"""
    aligned_px: int = 256
    """side of these; faces that would be enlarged more than twice are passed over"""
    which: Literal["good", "clean", "flagged", "keep", "reject", "unsure", "unsorted", "all"] | None = None
    """of them; good: kept by who sorted them, or neither flagged nor rejected; default: all for a table, good for
    links and faces (which are judged one by one)"""
    overwrite: bool = False
    """replace a page or table that is already there"""


@dataclass(frozen=True)
class Arguments:
    """Scan pictures into a catalog and flag the bad ones. Pictures are only read, never changed.

    The same command again looks only at what has changed. Without a source the catalog is only reported on.
    """

    sources: Positional[tuple[Path, ...]] = ()
    """folders, with all below them, and picture files"""
    into: Annotated[Path, arg(metavar="CATALOG")] = Path("catalog.db")
    """the catalog's file; made where there is none"""
    threshold: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="FLAG=VALUE")] = ()
    """move a flag's threshold, or FLAG=off; nothing is scanned again for it; repeatable"""
    faces: bool = True
    """look for faces, too"""
    threads: int = 0
    """that read and measure; 0: one a core"""
    out: Out = field(default_factory=Out)
    json: bool = False
    """print the result as one JSON object"""


def run(arguments: list[str]) -> int:
    """Parse, scan, move thresholds, write what is asked for, print."""
    chosen = parse(Arguments, "prepare", arguments)
    from upimagine import __version__
    from upimagine.data.catalog import Catalog
    from upimagine.data.thresholds import set_threshold
    from upimagine.errors import UpimagineError

    if chosen.threads < 0:
        raise UpimagineError(f"--threads {chosen.threads} cannot work; give 0 or more")
    _check_outputs(chosen.out)
    _one_thread_each()
    moved = [_threshold(text) for text in chosen.threshold]
    scanned: Scanned | None = None
    with Catalog(chosen.into, create=bool(chosen.sources), tool=f"upimagine {__version__} prepare") as catalog:
        for flag, value in moved:
            set_threshold(catalog, flag, value)
        if chosen.sources:
            scanned = _scan(catalog, chosen)
        cut = None if chosen.out.aligned is None else _cut(catalog, chosen.out.aligned, chosen)
        written = _write(catalog, chosen.out)
        _report(catalog, scanned, cut, written, chosen.json)
        if scanned is not None and scanned.troubles:
            return 3 if len(scanned.troubles) < scanned.files else 1
        return 3 if cut is not None and cut.troubles else 0


def _check_outputs(out: Out) -> None:
    """Better known now than after an hour's scan."""
    from upimagine import pixels
    from upimagine.data.cutting import check_cutting
    from upimagine.data.links import check_folder
    from upimagine.data.tables import check_table

    for table in out.export:
        check_table(table)
        pixels.claim(table, out.overwrite)
    if out.page is not None:
        pixels.claim(out.page, out.overwrite)
    if out.links is not None:
        check_folder(out.links)
    if out.aligned is not None:
        check_cutting(out.aligned, out.aligned_px)


def _threshold(text: str) -> tuple[str, float | None]:
    from upimagine.errors import UpimagineError

    flag, _, value = text.partition("=")
    try:
        return flag, None if value == "off" else float(value)
    except ValueError as error:
        raise UpimagineError(f"--threshold {text} cannot work; give FLAG=NUMBER or FLAG=off") from error


def _one_thread_each() -> None:
    """Threads that read and measure fill the cores; each of them calling for more would only make them wait."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _scan(catalog: Catalog, chosen: Arguments) -> Scanned:
    from upimagine.data.scan import scan
    from upimagine.guide.faces import find_faces

    with progress() as watch:
        scanned = scan(
            catalog,
            list(chosen.sources),
            find_faces=find_faces if chosen.faces else None,
            threads=chosen.threads,
            watch=watch,
        )
    for trouble in scanned.troubles:
        warn(f"upimagine prepare: {trouble}")
    return scanned


def _cut(catalog: Catalog, folder: Path, chosen: Arguments) -> Cut:
    from upimagine.data.cutting import cut_faces

    with progress() as watch:
        cut = cut_faces(
            catalog, folder, chosen.out.aligned_px, chosen.out.which or "good", threads=chosen.threads, watch=watch
        )
    for trouble in cut.troubles:
        warn(f"upimagine prepare: {trouble}")
    return cut


def _write(catalog: Catalog, out: Out) -> list[str]:
    """Page, tables and links; gives back what was written, one line each."""
    from upimagine.data.links import link_pictures
    from upimagine.data.records import records
    from upimagine.data.tables import export_table
    from upimagine.data.worst import worst_page

    written = []
    for table in out.export:
        count = export_table(catalog, table, out.which or "all", out.overwrite)
        written.append(f"{table}: {count} pictures")
    if out.links is not None:
        linked = link_pictures(records(catalog, out.which or "good"), out.links)
        for line in linked.missing:
            warn(f"upimagine prepare: {line}")
        copies = f", {linked.copies} copies" if linked.copies else ""
        written.append(f"{out.links}: {linked.links} links{copies}")
    if out.page is not None:
        worst_page(catalog, out.page, overwrite=out.overwrite)
        written.append(f"{out.page}: the worst by each flag")
    return written


def _report(catalog: Catalog, scanned: Scanned | None, cut: Cut | None, written: list[str], as_json: bool) -> None:
    from collections import Counter
    from dataclasses import asdict

    from upimagine.data.thresholds import count_pictures, flag_states
    from upimagine.data.verdicts import verdicts

    live, clean = count_pictures(catalog)
    states = flag_states(catalog)
    said = Counter(verdicts(catalog.connection).values())
    result: dict[str, Any] = {
        "catalog": str(catalog.path),
        "pictures": live,
        "clean": clean,
        "verdicts": dict(said),
        "scanned": None if scanned is None else asdict(scanned),
        "flags": {state.name: asdict(state) for state in states},
        "faces": None if cut is None else asdict(cut),
        "written": written,
    }
    lines = [f"{catalog.path}: {live} pictures, {clean} clean"]
    if scanned is not None:
        lines.append(
            f"{scanned.files} files: {scanned.new_pictures} new pictures, {scanned.unchanged} files unchanged, "
            f"{len(scanned.troubles)} passed over, {scanned.vanished} vanished"
        )
    if said:
        lines.append(f"sorted: {said['keep']} keep, {said['reject']} reject, {said['unsure']} unsure")
    if cut is not None:
        written = [*written, _cut_line(cut)]
    tell(as_json, result, *lines, *map(_line, states), *written)


def _cut_line(cut: Cut) -> str:
    more = [f"{cut.kept} cut before"] if cut.kept else []
    more += [f"{cut.small} too small (give a smaller --aligned-px)"] if cut.small else []
    more += [f"{cut.unsure} turned or hidden"] if cut.unsure else []
    return f"{cut.new} faces cut out" + (f"; {', '.join(more)}" if more else "")


def _line(state: FlagState) -> str:
    limit = f"{state.measure} off" if state.threshold is None else f"{state.measure} {state.side} {state.threshold:g}"
    return f"  {state.name:<13} {state.raised:>7}  {limit:<22} {state.meaning}"
