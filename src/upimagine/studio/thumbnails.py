"""Small pictures kept on the disk, so that a folder of fifty thousand opens at once the second time."""

from __future__ import annotations

import os
from pathlib import Path

from upimagine.pixels import write_bytes
from upimagine.studio.pictures import Thumbnails


def cache_folder() -> Path:
    """Where small pictures and pyramids are kept; it may be deleted at any time (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "upimagine" / "studio"


class KeptThumbnails(Thumbnails):
    """`Thumbnails` that looks into a folder before it decodes."""

    def __init__(self, folder: Path, most_bytes: int = 128 << 20) -> None:
        """`most_bytes` are those in memory."""
        super().__init__(most_bytes)
        self._folder = folder

    def get(self, content_id: str, side_px: int, paths: list[Path]) -> bytes:
        """As `Thumbnails.get`."""
        file = self._folder / str(side_px) / content_id[:2] / f"{content_id}.jpg"
        try:
            return file.read_bytes()
        except FileNotFoundError:
            encoded = super().get(content_id, side_px, paths)
            write_bytes(file, encoded, overwrite=True)
            return encoded
