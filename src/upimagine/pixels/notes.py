"""The recipe inside a picture: where each format keeps a long text so that other programs find it too.

PNG has an international text chunk with the keyword ``upimagine``. TIFF, JPEG and WebP carry an XMP packet with an
element of our own; TIFF shows the text a second time as ImageDescription, which most programs display.
"""

from __future__ import annotations

import re
import struct
import zlib
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pyvips

from upimagine.errors import PictureError

KEYWORD = "upimagine"
"""Keyword of the PNG text chunk."""

_NAMESPACE = "urn:upimagine:xmp:1.0/"
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:upimagine="{namespace}">
<upimagine:recipe>{text}</upimagine:recipe>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""
# No XML document, and no C string, can hold these.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_JPEG_PACKET_BYTES = 65_502  # one APP1 segment less its heading


def attach(image: pyvips.Image, recipe: str, format_name: str) -> pyvips.Image:
    """Return the image with the recipe in the fields libvips writes into a file of this format (PNG: none).

    Raises:
        PictureError: the text is too long for a JPEG, or holds characters no metadata can.
    """
    check(recipe)
    if format_name == "PNG":
        return image
    # A bare carriage return would come back as a line feed from any XML reader.
    text = escape(recipe, {"\r": "&#13;"})
    packet = _PACKET.format(namespace=_NAMESPACE, text=text).encode()
    if format_name == "JPEG" and len(packet) > _JPEG_PACKET_BYTES:
        raise PictureError(f"a recipe of {len(packet) // 1024} kB does not fit into a JPEG; write a PNG or TIFF")
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, "xmp-data", packet)
    if format_name == "TIFF":
        image.set_type(pyvips.GValue.gstr_type, "image-description", recipe)
    return image


def check(recipe: str) -> None:
    """Refuse a text that would not come back as it went in.

    Raises:
        PictureError: it holds control characters or lone surrogates.
    """
    found = _FORBIDDEN.search(recipe)
    if found:
        raise PictureError(f"the recipe holds the character U+{ord(found[0]):04X}, which no picture can store")


def png_chunk(recipe: str) -> bytes:
    """Build the iTXt chunk (libvips would write Latin-1 tEXt, and every other reader would garble an accent)."""
    body = b"iTXt" + KEYWORD.encode() + b"\0\0\0\0\0" + recipe.encode()  # uncompressed, no language, no translation
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def find(image: pyvips.Image) -> str | None:
    """Find the recipe in the header of a loaded file, None where there is none."""
    for name in image.get_fields():
        if re.fullmatch(rf"png-comment-\d+-{KEYWORD}", name):
            return str(image.get(name))
    if not image.get_typeof("xmp-data"):
        return None
    return _from_packet(bytes(image.get("xmp-data")))


def _from_packet(packet: bytes) -> str | None:
    if _NAMESPACE.encode() not in packet:
        return None
    try:
        element = ElementTree.fromstring(packet.strip(b"\0")).find(f".//{{{_NAMESPACE}}}recipe")
    except ElementTree.ParseError as error:
        raise PictureError(f"carries a damaged recipe ({error}); open a copy that was not edited") from error
    return None if element is None else element.text or ""
