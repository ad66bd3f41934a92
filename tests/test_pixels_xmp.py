"""XMP carried over: the user's packet comes back, with the recipe as a guest that can be taken out again."""

from __future__ import annotations

import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image, PngImagePlugin

from upimagine import pixels

PICTURE = torch.rand(3, 30, 50, generator=torch.Generator().manual_seed(4)) * 2 - 1
SUFFIXES = [".jpg", ".png", ".webp", ".tif"]
RECIPE = '# Zoë, 東京 & <friends>\n[stage]\r\nname = "x"\n'
NAMES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "up": "urn:upimagine:xmp:1.0/",
}
# As Lightroom writes it: simple properties as attributes, lists as elements.
PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
    xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
   xmp:Rating="5" xmp:Label="Grün &amp; Co" tiff:Orientation="6" tiff:ImageWidth='6000' exif:PixelXDimension="6000">
   <dc:subject><rdf:Bag><rdf:li>Zoë</rdf:li><rdf:li>a &lt; b</rdf:li></rdf:Bag></dc:subject>
   <exif:PixelYDimension>4000</exif:PixelYDimension>
   <xmp:Thumbnails><rdf:Alt><rdf:li rdf:parseType="Resource"><xmpGImg:image
     xmlns:xmpGImg="http://ns.adobe.com/xap/1.0/g/img/">AAAABBBB</xmpGImg:image></rdf:li></rdf:Alt></xmp:Thumbnails>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<!-- a comment -->
                    
<?xpacket end="w"?>"""


def packet_of(path: Path) -> bytes:
    """The packet as Pillow finds it."""
    with Image.open(path) as opened:
        found = opened.info.get("xmp") or (opened.tag_v2.get(700, b"") if path.suffix == ".tif" else b"")  # type: ignore[attr-defined]
    return bytes(found)


def check(packet: bytes, recipe: str | None) -> None:
    root = ElementTree.fromstring(packet.strip(b"\0"))
    rdf = root if root.tag.endswith("}RDF") else root.find("rdf:RDF", NAMES)
    assert rdf is not None
    said = rdf.find("rdf:Description", NAMES)
    assert said is not None
    attributes = {name: value for name, value in said.attrib.items() if "rdf-syntax" not in name}
    assert attributes == {
        f"{{{NAMES['xmp']}}}Rating": "5",
        f"{{{NAMES['xmp']}}}Label": "Grün & Co",
        f"{{{NAMES['tiff']}}}Orientation": "1",
        f"{{{NAMES['tiff']}}}ImageWidth": "50",
        f"{{{NAMES['exif']}}}PixelXDimension": "50",
    }
    assert [item.text for item in said.iterfind("dc:subject/rdf:Bag/rdf:li", NAMES)] == ["Zoë", "a < b"]
    height = said.find("exif:PixelYDimension", NAMES)
    assert height is not None
    assert height.text == "30"
    assert said.find("xmp:Thumbnails", NAMES) is None
    assert [found.text for found in rdf.iter(f"{{{NAMES['up']}}}recipe")] == ([] if recipe is None else [recipe])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_packet_and_recipe_live_together(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    carried: bytes | None = PACKET.encode()
    for recipe in ("first = 1", RECIPE, None, RECIPE):  # each generation carries what the one before left
        pixels.write(path, PICTURE, xmp=carried, recipe=recipe, overwrite=True)
        check(packet_of(path), None if suffix == ".png" else recipe)
        read = pixels.read(path)
        assert read.recipe == recipe
        assert read.xmp is not None
        assert read.xmp.rstrip(b"\0") == packet_of(path).rstrip(b"\0")
        carried = read.xmp
    assert carried is not None
    assert carried.count(b"xmlns:upimagine") <= 1
    assert b"<!-- a comment -->\n                    \n<?xpacket" in carried  # room for programs that edit in place


def test_all_else_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    plain = PACKET.replace('tiff:Orientation="6" tiff:ImageWidth=\'6000\' exif:PixelXDimension="6000"', "")
    start, end = plain.index("   <exif:PixelY"), plain.index("  </rdf:Description>")
    plain = plain[:start] + plain[end:]
    for suffix in SUFFIXES:
        pixels.write(tmp_path / f"a{suffix}", PICTURE, xmp=plain.encode())
        assert packet_of(tmp_path / f"a{suffix}").rstrip(b"\0") == plain.encode()
        pixels.write(tmp_path / f"b{suffix}", PICTURE, xmp=plain.encode(), recipe=RECIPE)
        carried = pixels.read(tmp_path / f"b{suffix}").xmp
        pixels.write(tmp_path / f"c{suffix}", PICTURE, xmp=carried)
        assert packet_of(tmp_path / f"c{suffix}").rstrip(b"\0") in (
            plain.encode(),
            plain.replace(" </rdf:RDF>", " \n</rdf:RDF>").encode(),
        )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_packets_of_other_programs_are_read(tmp_path: Path, suffix: str) -> None:
    picture, path = Image.new("RGB", (9, 9)), tmp_path / f"a{suffix}"
    if suffix == ".png":
        notes = PngImagePlugin.PngInfo()
        notes.add_itxt("XML:com.adobe.xmp", PACKET, zip=True)
        picture.save(path, pnginfo=notes)
    elif suffix == ".tif":
        picture.save(path, tiffinfo={700: PACKET.encode()})
    else:
        picture.save(path, xmp=PACKET.encode())
    found = pixels.read(path).xmp
    assert found is not None
    assert found.decode() == PACKET
    picture.save(path)
    assert pixels.read(path).xmp is None


def test_a_packet_that_held_only_a_recipe_leaves_nothing(tmp_path: Path) -> None:
    pixels.write(tmp_path / "a.tif", PICTURE, recipe=RECIPE)
    carried = pixels.read(tmp_path / "a.tif").xmp
    assert carried is not None
    for suffix in SUFFIXES:
        pixels.write(tmp_path / f"b{suffix}", PICTURE, xmp=carried)
        read = pixels.read(tmp_path / f"b{suffix}")
        assert (read.recipe, read.xmp) == (None, None)


def test_a_recipe_that_another_program_turned_into_an_attribute(tmp_path: Path) -> None:
    packet = PACKET.replace(
        'xmp:Rating="5"', 'xmlns:u="urn:upimagine:xmp:1.0/" u:recipe="a = &quot;1&quot;" xmp:Rating="5"'
    )
    Image.new("RGB", (9, 9)).save(tmp_path / "a.jpg", xmp=packet.encode())
    assert pixels.read_recipe(tmp_path / "a.jpg") == 'a = "1"'
    pixels.write(tmp_path / "b.jpg", PICTURE, xmp=packet.encode(), recipe="new")
    check(packet_of(tmp_path / "b.jpg"), "new")


def test_other_prefixes_and_no_wrapper(tmp_path: Path) -> None:
    bare = PACKET[PACKET.index(" <rdf:RDF") : PACKET.index("</x:xmpmeta>")]
    other = PACKET.replace("rdf:", "r:").replace("xmlns:r=", "xmlns:r=").replace("xmlns:rdf=", "xmlns:r=")
    for packet in (bare, other):
        pixels.write(tmp_path / "a.tif", PICTURE, xmp=packet.encode(), recipe=RECIPE, overwrite=True)
        check(packet_of(tmp_path / "a.tif"), RECIPE)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"nonsense",
        PACKET.encode()[:700],
        PACKET.encode("utf-16"),
        PACKET.encode("latin-1", "replace"),
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + PACKET[54:].encode(),
        PACKET.replace("<!-- a comment -->", "<!--" + "x" * 1_100_000 + "-->").encode(),
    ],
    ids=["empty", "nonsense", "cut", "utf-16", "latin-1", "no rdf", "entities", "huge"],
)
def test_damaged_packets_are_dropped(tmp_path: Path, packet: bytes) -> None:
    for suffix in SUFFIXES:
        for recipe in (None, RECIPE):
            pixels.write(tmp_path / f"a{suffix}", PICTURE, xmp=packet, recipe=recipe, overwrite=True)
            assert pixels.read(tmp_path / f"a{suffix}").recipe == recipe
            assert b"Rating" not in packet_of(tmp_path / f"a{suffix}")
            assert b"nonsense" not in packet_of(tmp_path / f"a{suffix}")


@pytest.mark.parametrize(
    "hostile",
    [
        "<xmp:Thumbnails>",
        "<xmp:Thumbnails ",
        "<tiff:Orientation ",
        '<rdf:Description rdf:about="" xmlns:a="',
        "<u:recipe>",
        "</aaa",
    ],
)
def test_hostile_packets_take_no_time(tmp_path: Path, hostile: str) -> None:
    """Each search must be linear: a pattern that starts anew at every opening would take hours."""
    own = "<!-- xmlns:u='urn:upimagine:xmp:1.0/' "
    packet = PACKET.replace("<!--", own + hostile * (900_000 // len(hostile)))
    started = time.monotonic()
    pixels.write(tmp_path / "a.tif", PICTURE, xmp=packet.encode(), recipe=RECIPE)
    assert pixels.read_recipe(tmp_path / "a.tif") == RECIPE
    assert time.monotonic() - started < 20


def test_no_room_in_a_jpeg(tmp_path: Path) -> None:
    """The recipe stays, for it is the file's own; the carried packet goes."""
    large = PACKET.replace("<!-- a comment -->", "<!--" + "x" * 70_000 + "-->").encode()
    for recipe in (None, RECIPE):
        pixels.write(tmp_path / "a.jpg", PICTURE, xmp=large, recipe=recipe, overwrite=True)
        read = pixels.read(tmp_path / "a.jpg")
        assert read.recipe == recipe
        assert b"xxxx" not in (read.xmp or b"")
    pixels.write(tmp_path / "a.png", PICTURE, xmp=large)
    check(packet_of(tmp_path / "a.png"), None)
