"""The proof of a finished file, of any size, as another file."""

from __future__ import annotations

from pathlib import Path

from upimagine import pixels
from upimagine.printing.profile import PaperProfile
from upimagine.printing.softproof import soft_proof


def proof_file(
    picture: str | Path, out: str | Path, profile: PaperProfile, *, dpi: float | None = None, overwrite: bool = False
) -> None:
    """Write what a print of a picture file will look like, as `soft_proof` shows it, strip by strip.

    Transparent places are paper. `out` has 16 bits where its format holds them.

    Raises:
        PictureError: the picture cannot be read.
        UpimagineError: `out` exists, or cannot be written.
    """
    height, width = pixels.read_size(picture)
    bits = pixels.best_bit_depth(out)
    with pixels.Canvas(out, height, width, bit_depth=bits, dpi=dpi, overwrite=overwrite) as canvas:
        for rows, alpha in pixels.read_rows(picture):
            seen = rows if alpha is None else (rows - 1) * alpha + 1  # on white
            canvas.write_rows(soft_proof(seen, profile))
        canvas.commit()
