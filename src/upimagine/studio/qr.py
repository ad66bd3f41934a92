"""QR codes in the terminal."""

from __future__ import annotations

import io

import segno


def qr_code(text: str) -> str:
    """The code in half blocks with its quiet zone, white on black whatever the terminal's colours are."""
    out = io.StringIO()
    segno.make(text, error="m", micro=False).terminal(out, border=4, compact=True)
    return "\n".join(f"\x1b[97;40m{line}\x1b[0m" for line in out.getvalue().splitlines())
