"""Train small GANs on your own pictures, pick the best of thousands, up-imagine them into prints of any size."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from upimagine.make.again import again
    from upimagine.make.picture import enlarge
    from upimagine.make.sampling import sample
    from upimagine.make.walk import make
    from upimagine.models.loaded import load
    from upimagine.pixels import read, write

try:
    __version__ = version("upimagine")
except PackageNotFoundError:  # run from a source tree that was not installed
    __version__ = "0+unknown"

# Loaded on first use, so that `import upimagine` and `upimagine --help` stay quick.
_WHERE = {
    "again": "upimagine.make.again",
    "enlarge": "upimagine.make.picture",
    "load": "upimagine.models.loaded",
    "make": "upimagine.make.walk",
    "read": "upimagine.pixels",
    "sample": "upimagine.make.sampling",
    "write": "upimagine.pixels",
}

__all__ = ["__version__", "again", "enlarge", "load", "make", "read", "sample", "write"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'upimagine' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
