"""What `upimagine enlarge` may write beside a result: the map of winners, a proof, a sheet for the print shop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upimagine.make.picture import Enlarged


@dataclass(frozen=True)
class Companions:
    """The files that were asked for beside every result."""

    map: bool
    proof: Path | None
    """ICC profile of printer and paper."""
    sheet: bool
    dpi: float
    bleed_mm: float
    overwrite: bool

    def claim(self, out: Path) -> None:
        """Raise UpimagineError, before any work, where one of them cannot be written or made of this kind of file."""
        from upimagine import pixels
        from upimagine.errors import PictureError

        if out.suffix.lower() == ".dzi" and (self.proof is not None or self.sheet):
            asked = "--proof" if self.proof is not None else "--sheet"
            raise PictureError(f"{out}: {asked} is made from a file for print; write a TIFF, and the pyramid apart")
        wanted = (self.map, _map(out)), (self.proof is not None, _proof(out)), (self.sheet, _sheet(out))
        for asked_for, path in wanted:
            if asked_for:
                pixels.claim(path, self.overwrite)

    def write(self, enlarged: Enlarged) -> None:
        """Make them of a finished result. Raises UpimagineError where that fails."""
        from upimagine import pixels
        from upimagine.printing import proof_file, proof_sheet, read_profile
        from upimagine.render.winner_map import draw_winners

        out = enlarged.path
        if self.map:
            pixels.write(_map(out), draw_winners(enlarged.reports[-1]), overwrite=self.overwrite)
        if self.proof is not None:
            profile = read_profile(self.proof)
            proof_file(out, _proof(out), profile, dpi=self.dpi, overwrite=self.overwrite)
        if self.sheet:
            proof_sheet(out, _sheet(out), dpi=self.dpi, bleed_mm=self.bleed_mm, overwrite=self.overwrite)


def _map(out: Path) -> Path:
    return out.with_name(f"{out.stem}-winners.png")


def _proof(out: Path) -> Path:
    return out.with_name(f"{out.stem}-proof.png")


def _sheet(out: Path) -> Path:
    return out.with_suffix(".pdf")
