"""From pixels to paper: sizes, sharpening, bleed, soft proofs and the sheet that goes to the print shop."""

from __future__ import annotations

from upimagine.printing.bleed import BleedRows
from upimagine.printing.profile import PaperProfile, read_profile
from upimagine.printing.proofing import proof_file
from upimagine.printing.sharpening import Sharpening, sharpen
from upimagine.printing.sheet import ProofSheet, page_writer, proof_sheet
from upimagine.printing.size import PrintLayout, PrintSize
from upimagine.printing.softproof import Gamut, measure_gamut, soft_proof
from upimagine.printing.stretch import stretch_warning
from upimagine.printing.strips import RowSink, SharpenedRows

__all__ = [
    "BleedRows",
    "Gamut",
    "PaperProfile",
    "PrintLayout",
    "PrintSize",
    "ProofSheet",
    "RowSink",
    "SharpenedRows",
    "Sharpening",
    "measure_gamut",
    "page_writer",
    "proof_file",
    "proof_sheet",
    "read_profile",
    "sharpen",
    "soft_proof",
    "stretch_warning",
]
