"""libvips writing into a Python file: the system's refusals kept, a few bytes slipped in, Ctrl-C heard."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

import pyvips


def aside(image: pyvips.Image, work: Callable[[], object], stop: Callable[[], None] = lambda: None) -> None:
    """Let libvips save `image` in a thread of its own; on Ctrl-C `stop` is called and the saving ends early.

    Signals reach the main thread alone: there, Ctrl-C could strike inside a libvips callback and be lost.
    """
    with ThreadPoolExecutor(1) as worker:
        try:
            worker.submit(work).result()
        except pyvips.Error:
            raise
        except BaseException:
            image.set_kill(True)
            stop()
            raise


def call_at_every_percent(image: pyvips.Image, call: Callable[[], None]) -> None:
    """Call back at every percent of an image that is being saved."""
    heard_percent = -1

    def heard(_image: pyvips.Image, progress: Any) -> None:
        nonlocal heard_percent
        if progress.percent != heard_percent:
            heard_percent = progress.percent
            call()

    image.set_progress(True)
    image.signal_connect("eval", heard)


class Sink:
    """A libvips target on a Python file, which slips in bytes behind the first `after` ones.

    No exception can cross libvips: the system's first refusal is kept in `error`, and the encoder told to stop.
    """

    def __init__(self, file: BinaryIO, slip_in: bytes = b"", after: int = 0) -> None:
        self.error: OSError | None = None
        self._stopped = False
        self._file = file
        self._slip_in, self._after = slip_in, after
        self.target = pyvips.TargetCustom()
        self.target.on_write(self._write)
        self.target.on_read(self._read)
        self.target.on_seek(self._seek)

    def stop(self) -> None:
        """Refuse whatever else the encoder brings."""
        self._stopped = True

    def _write(self, data: memoryview) -> int:
        if self._stopped or self._file.closed:
            return -1
        try:
            view = memoryview(data)
            if self._slip_in:
                self._file.write(view[: self._after])  # libvips sends 8 kB at a time, so the head is all there
                self._file.write(self._slip_in)
                self._file.write(view[self._after :])
                self._slip_in = b""
            else:
                self._file.write(view)
        except OSError as error:
            self.error = error
            return -1
        return view.nbytes

    def _read(self, size: int) -> bytes | None:
        try:
            return self._file.read(size) or None
        except OSError as error:
            self.error = self.error or error
            return None

    def _seek(self, offset: int, whence: int) -> int:
        try:
            return self._file.seek(offset, whence)
        except OSError as error:
            self.error = self.error or error
            return -1
