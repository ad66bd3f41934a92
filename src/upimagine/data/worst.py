"""A page that shows the worst pictures by each flag: one HTML file that loads nothing from elsewhere."""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from upimagine import pixels
from upimagine.data.catalog import Catalog
from upimagine.data.folder import to_uint8
from upimagine.data.look import MOST_PIXELS, shrunk
from upimagine.data.thresholds import FlagState, count_pictures, flag_states
from upimagine.errors import PictureError

_THUMB_PX = 112
_QUALITY = 80

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }
body { margin: 1rem auto; max-width: 80rem; padding: 0 1rem; }
nav a { margin-right: .8em; }
ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .8rem; }
li { width: 8rem; overflow-wrap: anywhere; font-size: .8rem; }
li div { height: 7rem; display: grid; place-items: center; background: #8882; }
li img { max-width: 100%; max-height: 7rem; }
li.raised div { outline: 3px solid #d55e00; }
code { font-size: .95em; }
"""


@dataclass(frozen=True)
class Shown:
    """A picture as the page shows it."""

    path: str
    value: float
    raised: bool
    twin: str | None
    """Where the better picture lies, of a duplicate."""


def worst_page(catalog: Catalog, out: Path, *, most: int = 24, overwrite: bool = False) -> None:
    """Write the page: of each flag up to `most` pictures, the worst first, with thumbnails inside the file.

    Pictures beyond the threshold are outlined, and say so in words; the others show where to move it.

    Raises:
        UpimagineError: the file exists or cannot be written.
    """
    pixels.claim(out, overwrite)
    states = flag_states(catalog)
    live, clean = count_pictures(catalog)
    thumbs: dict[str, str] = {}
    sections = "\n".join(_section(catalog, state, most, thumbs) for state in states)
    links = " ".join(f'<a href="#{state.name}">{state.name} {state.raised}</a>' for state in states)
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>The worst of {_safe(catalog.path.name)}</title><style>{_STYLE}</style></head><body>
<h1>The worst of {_safe(catalog.path.name)}</h1>
<p>{live} pictures, {clean} without a flag. Outlined ones are flagged. To move a threshold:
<code>upimagine prepare --into {_safe(str(catalog.path))} --threshold FLAG=VALUE</code>, or <code>FLAG=off</code>.</p>
<nav>{links}</nav>
{sections}
</body></html>
"""
    pixels.write_text(out, page, overwrite)


def _section(catalog: Catalog, state: FlagState, most: int, thumbs: dict[str, str]) -> str:
    limit = "off" if state.threshold is None else f"raised at {state.threshold:g} and {state.side}"
    items = (
        "\n".join(_item(each, thumbs) for each in worst_pictures(catalog, state, most)) or "<li>none was measured</li>"
    )
    return (
        f'<section id="{state.name}"><h2>{state.name}: {state.raised}</h2>'
        f"<p>{_safe(state.meaning)}; {limit}</p>\n<ul>{items}</ul></section>"
    )


def worst_pictures(catalog: Catalog, state: FlagState, most: int) -> list[Shown]:
    """Up to `most` pictures that are there, the worst by a flag first."""
    order = "DESC" if state.side == "above" else "ASC"
    rows = catalog.connection.execute(
        f"""SELECT (SELECT min(path) FROM places WHERE picture = scores.picture AND vanished IS NULL), scores.value,
            EXISTS (SELECT 1 FROM raised WHERE raised.picture = scores.picture AND raised.flag = ?),
            CASE WHEN measures.name = 'twin_bits' THEN
                (SELECT min(path) FROM places JOIN near ON near.better = places.picture
                 WHERE near.picture = scores.picture AND vanished IS NULL) END
        FROM scores JOIN measures ON measures.id = scores.measure
        WHERE measures.name = ?
            AND EXISTS (SELECT 1 FROM places WHERE places.picture = scores.picture AND vanished IS NULL)
        ORDER BY scores.value {order}, scores.picture {order} LIMIT ?""",
        (state.name, state.measure, most),
    )
    return [Shown(path, value, bool(raised), twin) for path, value, raised, twin in rows]


def _item(shown: Shown, thumbs: dict[str, str]) -> str:
    pictures = "".join(_thumb(path, thumbs) for path in (shown.path, shown.twin) if path is not None)
    twin = f"<br>like {_safe(Path(shown.twin).name)}" if shown.twin is not None else ""
    flagged = ", flagged" if shown.raised else ""
    return (
        f'<li class="{"raised" if shown.raised else "passed"}">{pictures}'
        f'<b>{shown.value:.4g}</b>{flagged}<br><span title="{_safe(shown.path)}">{_safe(Path(shown.path).name)}</span>'
        f"{twin}</li>"
    )


def _thumb(path: str, thumbs: dict[str, str]) -> str:
    """The picture small, as data inside the page; a few words where it cannot be read any more."""
    if path not in thumbs:
        thumbs[path] = _encoded(Path(path))
    source = thumbs[path]
    if not source:
        return "<div>cannot be read</div>"
    return f'<div><img alt="{_safe(Path(path).name)}" src="data:image/jpeg;base64,{source}"></div>'


def _encoded(path: Path) -> str:
    try:
        colours = pixels.read(path, max_pixels=MOST_PIXELS, least_px=_THUMB_PX).pixels
    except PictureError:
        return ""
    small = shrunk(np.ascontiguousarray(to_uint8(colours).permute(1, 2, 0).numpy()), _THUMB_PX)
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return base64.b64encode(encoded.tobytes()).decode()


def _safe(text: str) -> str:
    return html.escape(text, quote=True)
