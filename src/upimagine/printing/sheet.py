"""The proof sheet: a PDF page with the print at its exact size, crop marks and a line that says what it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from upimagine.errors import UpimagineError
from upimagine.pixels import claim, read_recipe, read_size, replacing
from upimagine.printing.embedding import Samples, embed
from upimagine.printing.marks import POINTS_PER_MM, SheetPlan, plan_sheet
from upimagine.printing.size import PrintLayout


@dataclass(frozen=True)
class ProofSheet:
    """What `proof_sheet` wrote."""

    path: Path
    layout: PrintLayout
    page_mm: tuple[float, float]
    """(height, width) of the page."""
    embedded: str
    """How the picture went in: ``as it is`` (the file's own bytes), ``lossless`` or ``JPEG``."""
    caption: str


def proof_sheet(
    picture: str | Path,
    out: str | Path,
    *,
    dpi: float,
    bleed_mm: float = 0.0,
    jpeg_quality: int | None = None,
    overwrite: bool = False,
) -> ProofSheet:
    """Write a PDF page with a finished picture file at its exact physical size, crop marks and a caption.

    The picture is embedded in full resolution, compressed strip by strip or as its file has it; memory holds its
    compressed bytes, never all its pixels (a turned picture waits on disk). TrimBox, BleedBox and MediaBox are set
    (ISO 32000-1, 14.11.2), the marks print on every plate, the samples carry their profile.

    Args:
        picture: the file, trim and bleed together.
        out: the PDF; its folder is made if need be.
        dpi: pixels an inch of the print, which set its size.
        bleed_mm: how much of the picture on each side is bleed.
        jpeg_quality: 1 to 100 makes the PDF smaller by a JPEG; None is lossless. A JPEG file stays as it is.
        overwrite: replace an existing file.

    Raises:
        PictureError: the picture cannot be read or embedded.
        UpimagineError: pikepdf is not installed, no such page, or the PDF exists or cannot be written.
    """
    if jpeg_quality is not None and not 1 <= jpeg_quality <= 100:
        raise UpimagineError(f"a JPEG quality of {jpeg_quality} cannot be; choose 1 to 100, or leave it out")
    write_page = page_writer()
    picture, out = Path(picture), claim(out, overwrite)
    layout = PrintLayout.of_file(*read_size(picture), dpi, bleed_mm)
    plan = plan_sheet(layout)
    caption = caption_of(picture.name, layout, read_recipe(picture))
    samples = embed(picture, jpeg_quality)
    with replacing(out, overwrite) as file:
        write_page(file, plan, samples, picture.name, caption)
    page_mm = plan.page.top / POINTS_PER_MM, plan.page.right / POINTS_PER_MM
    return ProofSheet(out, layout, page_mm, samples.how, caption)


def caption_of(name: str, layout: PrintLayout, recipe: str | None) -> str:
    """Say what a sheet shows: file name, pixels, dpi, centimetres, bleed, and the recipe's short hash if there is one.

    The hash is the beginning of the SHA-256 of the recipe's text as it stands in the file. Sizes are width × height.
    """
    (height, width), (height_cm, width_cm) = layout.full_px, layout.trim_cm
    parts = [name, f"{width} × {height} px", f"{layout.dpi:g} dpi", f"{width_cm:.2f} × {height_cm:.2f} cm"]
    if layout.bleed_px:
        parts.append(f"bleed {layout.bleed_mm:.1f} mm")
    if recipe is not None:
        parts.append(f"recipe {hashlib.sha256(recipe.encode()).hexdigest()[:10]}")
    return "  ".join(parts)


def page_writer() -> Callable[[BinaryIO, SheetPlan, Samples, str, str], None]:
    """Import what knows PDF, which few need."""
    try:
        from upimagine.printing.pdf import write_page
    except ImportError as error:
        raise UpimagineError("pikepdf, which writes PDF, is not installed: pip install 'upimagine[print]'") from error
    return write_page
