"""The one file that knows pikepdf: a planned sheet to a PDF page.

pikepdf (qpdf underneath, MPL 2.0) was taken because it lets compressed samples in as they are, with 16 bits and a
profile; reportlab and fpdf2 decode whatever is no JPEG, and know 8 bits only.
"""

from __future__ import annotations

from decimal import Decimal
from typing import BinaryIO

import pikepdf

from upimagine.printing.embedding import Samples
from upimagine.printing.marks import MARK_WIDTH_PT, POINTS_PER_MM, Box, SheetPlan

_FONT_PT = 8.0
_SMALLEST_FONT_PT = 5.0
_ADVANCE = 0.6  # of Courier, whose every letter is 600/1000 wide
_SIDE_MM, _BASELINE_MM = 4.0, 2.0  # of the caption, from the page's edges; the marks above it end at 5 mm


def write_page(file: BinaryIO, plan: SheetPlan, samples: Samples, title: str, caption: str) -> None:
    """Write a PDF of one page: the picture in `plan.bleed`, the marks, the caption, and the boxes that say so.

    The same arguments give the same bytes.

    Raises:
        OSError: the file could not be written.
    """
    with pikepdf.new() as pdf:
        page = pdf.add_blank_page(page_size=(plan.page.right, plan.page.top))
        page.mediabox, page.trimbox, page.bleedbox = (_array(box) for box in (plan.page, plan.trim, plan.bleed))
        caption_font = pikepdf.Dictionary(
            Type=pikepdf.Name.Font,
            Subtype=pikepdf.Name.Type1,
            BaseFont=pikepdf.Name.Courier,
            Encoding=pikepdf.Name.WinAnsiEncoding,
        )
        page.obj.Resources = pikepdf.Dictionary(
            XObject=pikepdf.Dictionary(Print=_image(pdf, samples)),
            ColorSpace=pikepdf.Dictionary(Marks=_every_plate()),
            Font=pikepdf.Dictionary(Caption=caption_font),
        )
        page.obj.Contents = pdf.make_stream(_content(plan, caption))
        pdf.docinfo["/Title"] = title
        pdf.docinfo["/Subject"] = caption
        pdf.save(file, min_version="1.5", deterministic_id=True)  # 1.5 for samples of 16 bits


def _content(plan: SheetPlan, caption: str) -> bytes:
    """Draw the page (ISO 32000-1, 8 and 9)."""
    box = plan.bleed
    place = f"{box.right - box.left:.4f} 0 0 {box.top - box.bottom:.4f} {box.left:.4f} {box.bottom:.4f}"
    lines = [f"q {place} cm /Print Do Q", f"q /Marks CS 1 SCN {MARK_WIDTH_PT} w"]
    lines += [f"{x:.4f} {y:.4f} m {to_x:.4f} {to_y:.4f} l S" for x, y, to_x, to_y in plan.marks]
    lines.append("Q")
    side_pt = _SIDE_MM * POINTS_PER_MM
    room_pt = plan.page.right - 2 * side_pt
    size_pt = min(_FONT_PT, max(_SMALLEST_FONT_PT, room_pt / (_ADVANCE * len(caption))))
    letters = int(room_pt / (_ADVANCE * size_pt) + 1e-6)
    if len(caption) > letters:  # sizes stand at the end: what gives way is the name
        caption = "…" + caption[len(caption) - letters + 1 :]
    # Letters that the font has not, as of a Japanese file name, show as question marks; /Title keeps them.
    text = caption.encode("cp1252", "replace").hex()
    at = f"{side_pt:.4f} {_BASELINE_MM * POINTS_PER_MM:.4f}"
    lines.append(f"BT /Caption {size_pt:.3f} Tf 0 g {at} Td <{text}> Tj ET")
    return "\n".join(lines).encode()


def _image(pdf: pikepdf.Pdf, samples: Samples) -> pikepdf.Stream:
    """The picture as an image XObject."""
    profile = pdf.make_stream(samples.profile, N=3, Alternate=pikepdf.Name.DeviceRGB)
    height, width = samples.size_px
    stream = pikepdf.Stream(
        pdf,
        samples.data,
        Type=pikepdf.Name.XObject,
        Subtype=pikepdf.Name.Image,
        Width=width,
        Height=height,
        BitsPerComponent=samples.bits,
        ColorSpace=pikepdf.Array([pikepdf.Name.ICCBased, profile]),
        Filter=pikepdf.Name(f"/{samples.filter}"),
    )
    if samples.filter == "FlateDecode":
        stream.DecodeParms = pikepdf.Dictionary(Predictor=15, Colors=3, BitsPerComponent=samples.bits, Columns=width)
    return stream


def _every_plate() -> pikepdf.Array:
    """Registration colour, which all printing plates carry (ISO 32000-1, 8.6.6.4); black on a screen."""
    tint = pikepdf.Dictionary(FunctionType=2, Domain=[0, 1], C0=[1], C1=[0], N=1)
    return pikepdf.Array([pikepdf.Name.Separation, pikepdf.Name.All, pikepdf.Name.DeviceGray, tint])


def _array(box: Box) -> pikepdf.Array:
    """A page box, to 0.0001 points."""
    sides = (box.left, box.bottom, box.right, box.top)
    return pikepdf.Array([Decimal(f"{side:.4f}") for side in sides])
