"""The recipe inside a picture: where each format keeps a long text so that other programs find it too.

PNG has an international text chunk with the keyword ``upimagine``. TIFF, JPEG and WebP carry an XMP packet with an
element of our own; TIFF shows the text a second time as ImageDescription, which most programs display.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pyvips

from upimagine.errors import PictureError
from upimagine.pixels import xmp
from upimagine.pixels.embedding import png_chunk

KEYWORD = "upimagine"
"""Keyword of the PNG text chunk."""

# No XML document, and no C string, can hold these.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_JPEG_PACKET_BYTES = 65_502  # one APP1 segment less its heading


def attach(image: pyvips.Image, recipe: str | None, carried: bytes | None, format_name: str) -> pyvips.Image:
    """Return the image with recipe and XMP in the fields libvips writes into a TIFF, JPEG or WebP.

    A carried packet that a JPEG has no room for is dropped.

    Raises:
        PictureError: the text is too long for a JPEG.
    """
    content = xmp.packet(recipe, carried, image.height, image.width)
    if format_name == "JPEG" and content is not None and len(content) > _JPEG_PACKET_BYTES:
        content = xmp.packet(recipe, None, image.height, image.width)
        if content is not None and len(content) > _JPEG_PACKET_BYTES:
            raise PictureError(f"a recipe of {len(content) // 1024} kB does not fit into a JPEG; write a PNG or TIFF")
    image = image.copy()
    if content is not None:
        image.set_type(pyvips.GValue.blob_type, "xmp-data", content)
    if format_name == "TIFF" and recipe is not None:
        image.set_type(pyvips.GValue.gstr_type, "image-description", recipe)
    return image


def png_chunks(recipe: str | None, carried: bytes | None, height: int, width: int) -> bytes:
    """Build the chunks of recipe and XMP for a PNG of this size; none where there is nothing to say.

    libvips would write both as Latin-1, and every other reader would garble an accent or not look there.
    """
    content = xmp.packet(None, carried, height, width)
    notes = {KEYWORD: recipe.encode() if recipe is not None else None, "XML:com.adobe.xmp": content}
    heading = b"\0\0\0\0\0"  # no compression, language or translated keyword
    return b"".join(
        png_chunk(b"iTXt", keyword.encode() + heading + text) for keyword, text in notes.items() if text is not None
    )


def check(recipe: str) -> None:
    """Refuse a text that would not come back as it went in.

    Raises:
        PictureError: it holds control characters or lone surrogates.
    """
    found = _FORBIDDEN.search(recipe)
    if found:
        raise PictureError(f"the recipe holds the character U+{ord(found[0]):04X}, which no picture can store")


def find(image: pyvips.Image) -> str | None:
    """Find the recipe in the header of a loaded file, None where there is none."""
    for name in image.get_fields():
        if re.fullmatch(rf"png-comment-\d+-{KEYWORD}", name):
            return str(image.get(name))
    if not image.get_typeof("xmp-data"):
        return None
    try:
        return xmp.find_recipe(bytes(image.get("xmp-data")))
    except ElementTree.ParseError as error:
        raise PictureError(f"carries a damaged recipe ({error}); open a copy that was not edited") from error
