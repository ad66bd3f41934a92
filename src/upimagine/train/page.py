"""The run's page: one HTML file that carries all it shows, for phone and desk, by day and by night.

It asks nothing of the network: no scripts, no fonts, pictures inside. Everything that comes from outside (names of
folders, settings, numbers' names) is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from upimagine.pixels.atomic import write_text
from upimagine.train.curves import charts_of, draw
from upimagine.train.journal import Line
from upimagine.train.watch import Finding

FILE_NAME = "index.html"


@dataclass(frozen=True)
class Shown:
    """A preview, or a part of one, and how many thousand pictures had been shown."""

    kimg: float
    uri: str
    """A `data:` address."""


@dataclass(frozen=True)
class Report:
    """Everything the page tells."""

    title: str
    state: str
    """One word or two: how the run stands."""
    kimg: float
    total_kimg: float
    seconds_left: float
    written: str
    """Date and time of this page."""
    lines: Sequence[Line]
    """The log's lines that hold."""
    active: Sequence[Finding]
    past: Sequence[Finding]
    settings: dict[str, Any]
    preview: Shown | None = None
    strip: Sequence[Shown] = field(default=())
    fade_in: Shown | None = None
    """One picture from the size before to the one that fades in."""
    film: str | None = None
    """Name of the film's file beside the page."""


def write_page(run: Path, report: Report) -> None:
    """Write `run/index.html` whole or not at all: a kill at any instant leaves the old or the new one.

    Raises UpimagineError when the disk is full.
    """
    write_text(run / FILE_NAME, render(report), overwrite=True)


def render(report: Report) -> str:
    """The page as text."""
    title = escape(report.title)
    sections = (
        _progress(report),
        _health(report),
        _pictures(report),
        _numbers(report),
        _changes(report),
        _settings(report),
    )
    body = "".join(section for section in sections if section)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}: {escape(report.state)}</title><style>{_STYLE}</style></head>\n"
        f"<body><header><h1>{title}</h1></header><main>{body}</main>"
        f"<footer><p>As of {escape(report.written)}. Reload for what is newest.</p></footer></body></html>\n"
    )


def time_left(seconds: float) -> str:
    """Seconds in words: minutes up to an hour and a half, then hours."""
    if seconds > 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


def _progress(report: Report) -> str:
    left = f", {time_left(report.seconds_left)} left" if report.seconds_left > 0 else ""
    told = f"{report.state}: {report.kimg:.1f} of {report.total_kimg:g} thousand pictures shown{left}"
    return (
        f'<section aria-label="Progress"><p class="lead">{escape(told[0].upper() + told[1:])}</p>'
        f'<progress max="{report.total_kimg:g}" value="{report.kimg:g}" aria-label="Pictures shown"></progress>'
        "</section>"
    )


def _health(report: Report) -> str:
    if report.active:
        now = "".join(_finding(found) for found in report.active)
    else:
        now = '<p class="well">Nothing is amiss.</p>'
    before = ""
    if report.past:
        items = "".join(
            f"<li>{escape(found.name)}, {found.since_kimg:g} to {found.until_kimg:g} kimg: {escape(found.seen)}</li>"
            for found in reversed(report.past)
        )
        before = f"<details><summary>Over by now ({len(report.past)})</summary><ul>{items}</ul></details>"
    return f"<section><h2>Health</h2>{now}{before}</section>"


def _finding(found: Finding) -> str:
    rows = (("Seen", found.seen), ("Likely cause", found.cause), ("Remedy", found.remedy))
    told = "".join(f"<dt>{name}</dt><dd>{_with_flags(text)}</dd>" for name, text in rows)
    return (
        f'<article class="amiss"><h3>{escape(found.name[0].upper() + found.name[1:])}</h3>'
        f"<p>since {found.since_kimg:g} kimg</p><dl>{told}</dl></article>"
    )


def _with_flags(text: str) -> str:
    """Escaped, with flags of the command line set apart."""
    return re.sub(r"(?<!\S)(--[a-z][a-z-]*(?: [\d.]+)?)", r"<code>\1</code>", escape(text))


def _pictures(report: Report) -> str:
    if report.preview is None:
        return ""
    newest = (
        f'<img class="preview" src="{report.preview.uri}" alt="Preview at {report.preview.kimg:g} kimg">'
        f"<p>At {report.preview.kimg:g} kimg; the same seeds each time.</p>"
    )
    strip = ""
    if len(report.strip) > 1:
        items = "".join(
            f'<li><img src="{shown.uri}" alt="The first pictures at {shown.kimg:g} kimg">{shown.kimg:g}</li>'
            for shown in report.strip
        )
        strip = f'<h3>How they came to be</h3><ol class="strip" tabindex="0" aria-label="By kimg">{items}</ol>'
    fade_in = ""
    if report.fade_in is not None:
        fade_in = (
            f'<h3>Fading in</h3><img class="preview" src="{report.fade_in.uri}" '
            f'alt="A picture while a size fades in, at {report.fade_in.kimg:g} kimg">'
            f"<p>At {report.fade_in.kimg:g} kimg: the size before on the left, the new one alone on the right.</p>"
        )
    film = f'<p><a href="{escape(report.film)}">The film of all previews</a></p>' if report.film else ""
    return f"<section><h2>Pictures</h2>{newest}{fade_in}{strip}{film}</section>"


def _numbers(report: Report) -> str:
    ticks = [line for line in report.lines if "event" not in line]
    drawn = "".join(draw(chart, ticks) for chart in charts_of(ticks))
    return f'<section><h2>Numbers</h2><div class="charts">{drawn}</div></section>' if drawn else ""


def _changes(report: Report) -> str:
    """What rollbacks and retunings have changed."""
    items = "".join(
        f"<li>{done['from_kimg']:g} to {done['to_kimg']:g} kimg"
        f" ({escape(', '.join(done['because']) or 'asked for')}); learning rate "
        + escape(", ".join(f"of {phase} times {times:g}" for phase, times in done["learning_rate_times"].items()))
        + "</li>"
        for done in report.settings.get("rollbacks", [])
    )
    rolled = f"<section><h2>Rolled back</h2><ol>{items}</ol></section>" if items else ""
    tuned = "".join(
        f"<li>from {done['kimg']:g} kimg: {escape('; '.join(done['changes']))}</li>"
        for done in report.settings.get("retunes", [])
    )
    return rolled + (f"<section><h2>Retuned</h2><ol>{tuned}</ol></section>" if tuned else "")


def _settings(report: Report) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name.replace("_", " "))}</th><td>{escape(_plain(value))}</td></tr>'
        for name, value in sorted(report.settings.items())
        if name not in ("rollbacks", "retunes")
    )
    return f"<section><h2>Settings</h2><details><summary>All of them</summary><table>{rows}</table></details></section>"


def _plain(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None or value == "" else str(value)


# Two hues that people with any colour vision tell apart on both grounds; the second line is dashed besides.
_STYLE = """
:root{--ground:#fbfaf8;--ink:#1d1c1a;--soft:#5d5a55;--line:#d9d5cd;--card:#fff;--c0:#0b5cad;--c1:#b34700;--c2:#3d7a37;
--bad:#a1131b;--bad-ground:#fdeeee;--good:#1f6b2d}
@media(prefers-color-scheme:dark){:root{--ground:#151413;--ink:#eeebe6;--soft:#aba69e;--line:#3b3834;--card:#1e1d1b;
--c0:#6cb2ff;--c1:#ff9d5c;--c2:#8fd487;--bad:#ff8f94;--bad-ground:#331a1b;--good:#8fd69b}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:70rem;padding:1rem;background:var(--ground);color:var(--ink);
font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:1rem 0 .25rem}
p{margin:.25rem 0}.lead{font-size:1.1rem}progress{width:100%;height:.75rem;accent-color:var(--c0)}
footer,.xs,.ys,.strip li{color:var(--soft);font-size:.85rem}footer{margin-top:2rem}
a{color:var(--c0)}summary{cursor:pointer;padding:.5rem 0}
.well{color:var(--good)}
.amiss{border-left:.3rem solid var(--bad);background:var(--bad-ground);padding:.5rem 1rem;margin:.5rem 0}
.amiss h3{color:var(--bad);margin:0}dl{margin:.5rem 0 0}dt{font-weight:600}dd{margin:0 0 .5rem}
code{white-space:nowrap;background:var(--card);border:1px solid var(--line);padding:0 .2rem}
.preview{width:100%;height:auto;display:block}
.strip{display:flex;gap:.5rem;overflow-x:auto;list-style:none;margin:0;padding:0 0 .5rem}
.strip li{flex:0 0 auto;text-align:center}.strip img{display:block;width:6rem;height:auto}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,20rem),1fr));gap:1rem}
figure{margin:0;padding:.75rem;background:var(--card);border:1px solid var(--line);border-radius:.25rem;min-width:0}
figcaption{font-weight:600}
.keys{list-style:none;display:flex;flex-wrap:wrap;gap:.1rem 1rem;margin:.25rem 0;padding:0;font-size:.85rem}
.key{display:inline-block;width:1.25rem;vertical-align:middle;margin-right:.3rem;border-top:.2rem solid var(--c0)}
.key.c1{border-top:.2rem dashed var(--c1)}.key.c2{border-top:.2rem dotted var(--c2)}
.plot{display:flex;gap:.4rem}
.ys{display:flex;flex-direction:column;justify-content:space-between;text-align:right;min-width:3.2rem}
svg{flex:1;min-width:0;width:100%;height:9rem;border-left:1px solid var(--line);border-bottom:1px solid var(--line)}
polyline{fill:none;stroke:var(--c0);stroke-width:2;vector-effect:non-scaling-stroke;stroke-linejoin:round}
polyline.c1{stroke:var(--c1);stroke-dasharray:6 3}polyline.c2{stroke:var(--c2);stroke-dasharray:2 3}
.xs{display:flex;justify-content:space-between;padding-left:3.6rem}
table{border-collapse:collapse}th,td{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;font-weight:400}
th{color:var(--soft)}
"""
