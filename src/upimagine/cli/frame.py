"""What verbs share: parsing, printing results, drawing progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


def parse(kind: Callable[..., T], verb: str, arguments: list[str]) -> T:
    """Arguments to a settings dataclass (or union of them); prints help or a usage error and exits (2) by itself."""
    import tyro

    return tyro.cli(
        kind,
        prog=f"upimagine {verb}",
        args=arguments,
        config=(tyro.conf.OmitArgPrefixes,),
    )


def warn(text: str) -> None:
    """One line on stderr."""
    print(text, file=sys.stderr)


def tell(as_json: bool, result: dict[str, Any], *lines: str) -> None:
    """Results on stdout: one JSON object for machines, or lines for people."""
    print(json.dumps(result) if as_json else "\n".join(lines))


@contextmanager
def progress(pictures: int = 1) -> Iterator[Callable[[str, int, int], None]]:
    """A bar with the time left, on stderr and only on a terminal: call it with (what, done, total).

    For several pictures another bar tells of all of them: call it with ("", picture, 0) when one is done.
    """
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        current: dict[str, Any] = {}
        whole = bars.add_task("pictures", total=pictures) if pictures > 1 else None

        def watch(what: str, done: int, total: int) -> None:
            if total == 0:
                if whole is not None:
                    bars.update(whole, completed=done)
                return
            if current.get("what") != what or done < current.get("done", 0):
                if "task" in current:
                    bars.remove_task(current["task"])
                current["task"] = bars.add_task(what, total=total)
            current["what"], current["done"] = what, done
            bars.update(current["task"], completed=done, total=total)

        yield watch
