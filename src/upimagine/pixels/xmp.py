"""XMP packets: the user's own, carried over untouched but for what would be untrue, with the recipe as a guest."""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.sax.saxutils import escape

MOST_BYTES = 1 << 20
"""A packet of more bytes than this is dropped."""

NAMESPACE = "urn:upimagine:xmp:1.0/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
{guest}
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""
_GUEST = """<rdf:Description rdf:about="" xmlns:upimagine="{namespace}"
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<upimagine:recipe>{text}</upimagine:recipe>
</rdf:Description>"""
_MOST_PREFIXES = 8
# How programs write a property: as an attribute of its description, or as an element within it.
_PROPERTY = r'(?P<open>\b{name}\s*=\s*["\']|<{name}\b[^<>]*>)(?P<value>[^"\'<]*)(?P<close>["\']|</{name}\s*>)'


def packet(recipe: str | None, carried: bytes | None, height: int, width: int) -> bytes | None:
    """Make the packet for a file of this size: the carried one, put right, with the recipe if there is one.

    A recipe that the carried packet brought is taken out: it is another picture's. A carried packet that is damaged
    or too large is dropped. None if there is nothing to say.
    """
    guest = None
    if recipe is not None:
        # A bare carriage return would come back as a line feed from any XML reader.
        guest = _GUEST.format(namespace=NAMESPACE, text=escape(recipe, {"\r": "&#13;"}))
    host = _put_right(carried, height, width) if carried is not None else None
    if host is None:
        return None if guest is None else _PACKET.format(guest=guest).encode()
    if guest is not None:
        closing = list(re.finditer(r"</[\w.-]+:RDF\s*>", host))[-1].start()
        host = host[:closing] + guest + "\n" + host[closing:]
    return host.encode()


def find_recipe(content: bytes) -> str | None:
    """Find the recipe in a packet, None where there is none.

    Raises:
        ElementTree.ParseError: the packet has one and is damaged.
    """
    if NAMESPACE.encode() not in content:
        return None
    root = ElementTree.fromstring(content.strip(b"\0"))
    for element in root.iter():
        if element.tag == f"{{{NAMESPACE}}}recipe":
            return element.text or ""
        if f"{{{NAMESPACE}}}recipe" in element.attrib:  # as some programs write it when they save the file
            return element.attrib[f"{{{NAMESPACE}}}recipe"]
    return None


def _put_right(content: bytes, height: int, width: int) -> str | None:
    """Take out the old recipe and thumbnails, set orientation and size; all else stays as it is, byte for byte."""
    if len(content) > MOST_BYTES:
        return None
    try:
        text = content.strip(b"\0").decode("utf-8-sig")
    except UnicodeDecodeError:  # UTF-16 is allowed in principle, and nobody writes it
        return None
    prefixes = set(re.findall(rf'xmlns:([\w.-]+)\s*=\s*["\']{re.escape(NAMESPACE)}["\']', text))
    if len(prefixes) > _MOST_PREFIXES:
        return None
    text = _without_recipe(text, prefixes)
    for name in ("xmp:Thumbnails", "xap:Thumbnails"):
        text = _without_element(text, name)
    for name, value in (
        ("tiff:Orientation", 1),
        ("tiff:ImageWidth", width),
        ("tiff:ImageLength", height),
        ("exif:PixelXDimension", width),
        ("exif:PixelYDimension", height),
    ):
        text = re.sub(_PROPERTY.format(name=name), rf"\g<open>{value}\g<close>", text)
    try:
        # Entities could make a few bytes into gigabytes, and no XMP needs any of its own.
        rdf = None if "<!DOCTYPE" in text else next(ElementTree.fromstring(text).iter(f"{{{_RDF}}}RDF"), None)
    except (ElementTree.ParseError, ValueError):
        return None
    says_something = rdf is not None and len(rdf) > 0 and re.search(r"</[\w.-]+:RDF\s*>", text)
    return text if says_something else None


def _without_recipe(text: str, prefixes: set[str]) -> str:
    for prefix in prefixes:
        text = _without_element(text, f"{prefix}:recipe")
        text = re.sub(rf'\b{re.escape(prefix)}:recipe\s*=\s*("[^"]*"|\'[^\']*\')', "", text)
    # What may be left is a description that describes nothing.
    return re.sub(
        r'<rdf:Description rdf:about=""(\s+xmlns:[\w.-]+="[^"]*")*\s*(/>|>\s*</rdf:Description>)\n?', "", text
    )


def _without_element(text: str, name: str) -> str:
    """Cut out all elements of this name; by search and not one pattern, which could take hours on a hostile text."""
    opening, kept, at = re.compile(rf"<{re.escape(name)}\b[^<>]*>"), list[str](), 0
    while found := opening.search(text, at):
        end = found.end()
        if not found[0].endswith("/>"):
            closing = text.find(f"</{name}", end)
            end = text.find(">", closing) + 1 if closing >= 0 else 0
        if end == 0:
            break
        kept.append(text[at : found.start()])
        at = end
    return "".join(kept) + text[at:]
