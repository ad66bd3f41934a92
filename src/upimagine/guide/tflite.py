"""Running the vendored TensorFlow Lite networks: made once a thread, so that threads do not wait for each other."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_MODELS = Path(__file__).parent / "mediapipe"


class Network:
    """One TensorFlow Lite file ready to run, for one thread."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with _native_stderr_closed():
            # One thread: these nets take about a millisecond, and pools of threads do not survive a fork.
            self._interpreter: Any = Interpreter(model_path=str(path), num_threads=1)
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]

    def __call__(self, picture: Floats) -> list[Floats]:
        """(1, height, width, 3) float32 to the outputs in the file's order."""
        self._interpreter.set_tensor(self._input, picture)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]


class _Loaded(threading.local):
    def __init__(self) -> None:
        self.networks: dict[str, Network] = {}


_LOADED = _Loaded()
_LOADING = threading.Lock()


def network(file_name: str) -> Network:
    """The vendored network of that name, loaded at the first call in this thread (a few milliseconds)."""
    if file_name not in _LOADED.networks:
        with _LOADING:  # descriptor 2 is the whole process's
            _LOADED.networks[file_name] = Network(_MODELS / file_name)
    return _LOADED.networks[file_name]


@contextmanager
def _native_stderr_closed() -> Iterator[None]:
    """The runtime announces its CPU delegate on file descriptor 2 and has no switch for it; failures still raise."""
    kept = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(sink)
        os.close(kept)
