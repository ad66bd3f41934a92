"""What a run shows of itself while it trains: log, curves, previews, findings, page and film."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from upimagine import pixels
from upimagine.errors import UpimagineError
from upimagine.pixels.animation import write_animation
from upimagine.pixels.inline import data_uri, jpeg_uri
from upimagine.pixels.resizing import shrink_area
from upimagine.train.clock import Clock
from upimagine.train.grid import cut_grid
from upimagine.train.journal import Journal, Line, read_log
from upimagine.train.likeness import MOST_COMPARED, Likeness, comparable, compared_px
from upimagine.train.means import Means
from upimagine.train.pace import Pace
from upimagine.train.page import Report, Shown, write_page
from upimagine.train.task import FadesIn, FromNoise, Grows, Task
from upimagine.train.watch import STOPPED, Facts, Watch

FILM_NAME = "film.webp"
_STRIP = 10  # previews on the page's strip
_STRIP_PX = 96
_STRIP_ROWS = 3
_FILM_FRAMES = 240
_FEWEST = 2  # pictures that can be compared


@dataclass(frozen=True)
class Progress:
    """What a tick tells whoever watches."""

    shown: int  # pictures so far
    total: int  # pictures of the whole run
    seconds_left: float
    numbers: dict[str, float]  # mean of each plotted number since the last tick


@dataclass(frozen=True)
class Story:
    """What is told of a run from its beginning to its end."""

    title: str
    total: int  # pictures of the whole run
    settings: dict[str, Any]


class NotNumbersError(UpimagineError):
    """The gradients of a phase are no longer numbers; the last checkpoint is sound."""

    def __init__(self, phase: str, message: str) -> None:
        super().__init__(message)
        self.phase = phase


class Account:
    """Told by the loop what happens; all it writes lies in the run's folder. A context, which sees how the run ends.

    Args:
        run: the folder.
        task: what is trained.
        story: what stays the same.
        clock: says what is due.
        shown: pictures shown when this process began; what the log says beyond is undone.
        on_tick: is told how far the run is.
        on_note: is told findings, a line each.
    """

    def __init__(
        self,
        run: Path,
        task: Task,
        story: Story,
        clock: Clock,
        shown: int,
        on_tick: Callable[[Progress], None] | None,
        on_note: Callable[[str], None],
    ) -> None:
        self._run, self._task, self._story, self._clock, self._shown = run, task, story, clock, shown
        self._on_tick, self._on_note = on_tick, on_note
        self._lines = read_log(run, shown)
        self.watch = Watch(facts_of(task, story.settings))
        self.watch.replay(self._lines)
        self.pace = Pace(
            story.total / 1000,
            story.settings["preview_kimg"],
            story.settings["checkpoint_minutes"] * 60,
            lambda kimg: task.work_at(kimg * 1000) if isinstance(task, Grows) else 1.0,
        )
        for line in self._lines:
            if rate := line.get("seconds_per_kimg"):
                self.pace.add_tick(rate, line["kimg"])
        self._means = Means()
        self._likeness: Likeness | None = None
        self._journal = Journal(run, shown)
        if shown:
            self._lines.append(self._journal.tell(shown, "resumed"))

    def step(self, shown: int, plotted: dict[str, Tensor], average: nn.Module) -> bool:
        """After a step: its numbers, and whatever is due, in the order in which one needs the other.

        Gives back whether the run's folder had vanished and was made anew; it has no checkpoint then.
        Raises UpimagineError when it cannot be made.
        """
        self._shown, last = shown, shown >= self._story.total
        if vanished := not self._run.is_dir():
            self._make_anew()
        self._means.add(plotted)
        previewed = self._clock.preview_due(shown) or last
        if previewed:
            with self._clock.apart(self.pace.add_preview):
                self._means.add(self._preview(self._task.preview(average)))
                if isinstance(self._task, FadesIn) and (strip := self._task.strip(average)) is not None:
                    self._write(f"fade-in-{shown // 1000:06d}.jpg", strip)
        if self._clock.tick_due(shown) or last:
            self._tick()
        if previewed:
            with self._clock.apart(self.pace.add_page):
                self.page("training")
        return vanished

    def finish(self, state: str) -> None:
        """The film of all previews, and the page for the last time."""
        if previews := self._previews():
            write_animation([path for _, path in _evenly(previews, _FILM_FRAMES)], self._run / FILM_NAME)
        self.page(state)

    def page(self, state: str) -> None:
        """Write the page anew."""
        kimg = self._shown / 1000
        previews = self._previews()
        newest = Shown(previews[-1][0], jpeg_uri(previews[-1][1].read_bytes())) if previews else None
        report = Report(
            title=self._story.title,
            state=state,
            kimg=kimg,
            total_kimg=self._story.total / 1000,
            seconds_left=self.pace.seconds_left(kimg),
            written=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
            lines=self._lines,
            active=self.watch.active,
            past=self.watch.past,
            settings=self._story.settings,
            preview=newest,
            fade_in=self._fade_in(),
            strip=[Shown(at, self._strip_uri(path)) for at, path in _evenly(previews, _STRIP)],
            film=FILM_NAME if (self._run / FILM_NAME).exists() else None,
        )
        write_page(self._run, report)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._journal.__exit__(kind, error, trace)
            return
        # What ended the run is what is told; that its folder cannot be written either may even follow from it.
        with suppress(OSError, UpimagineError):
            if isinstance(error, NotNumbersError):
                self._see(self._journal.tell(self._shown, STOPPED, phase=error.phase))
            else:
                why = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
                self._lines.append(self._journal.tell(self._shown, "ended", why=why))
            self.page("stopped")
        with suppress(OSError, UpimagineError):
            self._journal.__exit__(kind, error, trace)

    def _make_anew(self) -> None:
        """The run's folder is gone: make it again, but not the folders around it, which may be a disk taken out."""
        try:
            self._run.mkdir()
            journal = Journal(self._run)
            journal.rewrite(self._lines)
        except OSError as error:
            raise UpimagineError(
                f"{self._run} has vanished while training and cannot be made anew ({error.strerror or error}); "
                "bring the folder back and give the same command: it goes on from the last checkpoint"
            ) from error
        self._journal.__exit__(None, None, None)
        self._journal = journal
        self._on_note(f"at {self._shown / 1000:g} kimg, {self._run} had vanished; it was made anew, training goes on")

    def _preview(self, picture: Tensor) -> dict[str, Tensor]:
        """Keep a preview (3, H, W) in [-1, 1]; gives back what its pictures say, to be plotted."""
        self._write(f"preview-{self._shown // 1000:06d}.jpg", picture)
        if not isinstance(self._task, FromNoise):
            return {}
        made = cut_grid(picture, self._task.preview_columns)
        likeness = self._compared(self._shown, made)
        numbers = {} if likeness is None else likeness.numbers(made)
        return {f"samples/{name}": torch.tensor(value) for name, value in numbers.items()}

    def _tick(self) -> None:
        """Write down the means since the last tick, and tell of them."""
        numbers = self._means.take()
        waited = self._clock.data_wait()
        if (rate := self._clock.seconds_per_kimg(self._shown)) is not None:
            self.pace.add_tick(rate, self._shown / 1000)
            numbers |= {"seconds_per_kimg": rate, "data_wait": waited}
        self._see(self._journal.write(self._shown, numbers))
        if self._on_tick:
            left = self.pace.seconds_left(self._shown / 1000)
            self._on_tick(Progress(self._shown, self._story.total, left, numbers))

    def _see(self, line: Line) -> None:
        self._lines.append(line)
        for found in self.watch.see(line):
            self._on_note(f"at {self._shown / 1000:g} kimg, {found}")
            self._journal.tell(self._shown, "found", finding=found.name, seen=found.seen)

    def _compared(self, shown: int, made: Tensor) -> Likeness | None:
        """Training pictures to compare with, of the size that is being trained now."""
        pictures = int(self._task.settings()["pictures"])
        count = min(pictures, MOST_COMPARED)
        now_px = self._task.batch(shown, 1)["real"].shape[3]
        if min(count, len(made)) < _FEWEST or not comparable(now_px, made.shape[3]):
            return None
        side_px = compared_px(now_px, made.shape[3])
        if self._likeness is None or self._likeness.side_px != side_px:
            begin = -(-shown // pictures) * pictures  # of a round, in which each picture comes once
            parts = [
                shrink_area(self._task.batch(begin + start, min(64, count - start))["real"], (side_px, side_px))
                for start in range(0, count, 64)
            ]
            self._likeness = Likeness(torch.cat(parts))
        return self._likeness

    def _write(self, name: str, picture: Tensor) -> None:
        pixels.write(self._run / name, picture, overwrite=True, quality=90)

    def _previews(self) -> list[tuple[float, Path]]:
        """Previews and where they stand in kimg, oldest first, none that has been undone."""
        found = ((re.fullmatch(r"preview-(\d+)\.jpg", path.name), path) for path in self._run.glob("preview-*.jpg"))
        return sorted((int(match[1]), path) for match, path in found if match and int(match[1]) * 1000 <= self._shown)

    def _fade_in(self) -> Shown | None:
        """The newest strip of a size that fades in, none that has been undone."""
        if not isinstance(self._task, FadesIn):
            return None
        found = sorted(self._run.glob("fade-in-*.jpg"))
        times = [(int(path.stem.removeprefix("fade-in-")), path) for path in found]
        held = [(kimg, path) for kimg, path in times if kimg * 1000 <= self._shown]
        return Shown(held[-1][0], jpeg_uri(held[-1][1].read_bytes())) if held else None

    def _strip_uri(self, path: Path) -> str:
        """The first pictures of a preview below each other, or all of it, small."""
        picture = pixels.read(path).pixels
        if isinstance(self._task, FromNoise):
            columns = self._task.preview_columns
            some = cut_grid(picture, columns)[: _STRIP_ROWS * columns : columns]
            picture = torch.cat(list(some), dim=1)
        width = min(2 * _STRIP_PX, picture.shape[2])
        height = max(1, round(picture.shape[1] * width / picture.shape[2]))
        return data_uri(shrink_area(picture[None], (height, width))[0])


def facts_of(task: Task, settings: dict[str, Any]) -> Facts:
    """What the watch must know of a task that is trained with these settings."""
    return Facts(tuple(phase.name for phase in task.phases), settings)


def _evenly(previews: list[tuple[float, Path]], most: int) -> list[tuple[float, Path]]:
    """At most so many, spread evenly, the first and the last among them."""
    if len(previews) <= most:
        return previews
    return [previews[round(i * (len(previews) - 1) / (most - 1))] for i in range(most)]
