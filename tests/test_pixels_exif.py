"""EXIF carried over: what cameras said stays, what would be untrue does not. Written and read back by Pillow."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
import torch
from PIL import ExifTags, Image

from upimagine import pixels
from upimagine.pixels import encoding as encoding_module
from upimagine.pixels.exif import parse, to_bytes
from upimagine.pixels.formats import Encoding

PICTURE = torch.rand(3, 30, 50, generator=torch.Generator().manual_seed(4)) * 2 - 1
SUFFIXES = [".jpg", ".png", ".webp", ".tif"]
MAKER_NOTE = b"MakerCo\0" + bytes(range(256)) * 3
TAGS = {
    271: "MakerCo",
    272: "Model 7",
    305: "Firmware 1.2",
    306: "2024:05:06 07:08:09",
    315: "Zoe & Co",
    33432: "(c) 2024",
    40092: "Grüße\0".encode("utf-16-le"),  # Windows' comment
    50341: b"PrintIM\x000300",  # a tag that few programs know
}
CAMERA = {
    33434: (1, 125),
    33437: (28, 10),
    34855: 400,
    36867: "2024:05:06 07:08:08",
    36881: "+02:00",
    37377: (-3, 2),  # a signed fraction
    37510: b"ASCII\0\0\0a comment",
    42036: "Lens 50mm",
}
PLACE = {1: "N", 2: ((48, 1), (51, 1), (3012, 100)), 3: "E", 4: ((2, 1), (21, 1), (5, 1)), 29: "2024:05:06"}


def camera_block(order: str = "<", thumbnail: bool = True) -> bytes:
    """What a camera writes, laid out here by the Exif 2.32 standard: header, tables, maker notes, thumbnail."""
    kinds = {33434: 5, 33437: 5, 37377: 10, 37510: 7, 37500: 7, 40092: 1, 50341: 7}

    def value(tag: int, item: object, kind: int | None = None) -> tuple[int, int, int, bytes]:
        kind = kind or kinds.get(tag)
        if isinstance(item, str):
            return tag, 2, len(item) + 1, item.encode() + b"\0"
        if isinstance(item, bytes):
            return tag, kind or 7, len(item), item
        if isinstance(item, tuple):
            pairs = item if isinstance(item[0], tuple) else (item,)
            flat = [number for pair in pairs for number in pair]
            letter = "i" if kind == 10 else "I"
            return tag, kind or 5, len(pairs), struct.pack(f"{order}{len(flat)}{letter}", *flat)
        assert isinstance(item, int)
        return tag, kind or 3, 1, struct.pack(order + ("I" if kind == 4 else "H"), item)

    def table(at: int, rows: list[tuple[int, int, int, bytes]], following: int = 0) -> bytes:
        head, tail = struct.pack(order + "H", len(rows)), b""
        start = at + 2 + 12 * len(rows) + 4
        for tag, kind, count, data in sorted(rows):
            head += struct.pack(order + "HHI", tag, kind, count)
            if len(data) <= 4:
                head += data.ljust(4, b"\0")
            else:
                head += struct.pack(order + "I", start + len(tail))
                tail += data + bytes(len(data) % 2)
        return head + struct.pack(order + "I", following) + tail

    main = [value(tag, item) for tag, item in TAGS.items()]
    main += [value(274, 6), value(282, (72, 1)), value(283, (72, 1)), value(296, 2), value(531, 1)]
    said = [value(tag, item) for tag, item in CAMERA.items()]
    said += [value(37500, MAKER_NOTE), value(40961, 1), value(40962, 6000, 4), value(40963, 4000), value(40965, 99, 4)]
    place = [value(tag, item) for tag, item in PLACE.items()]
    pointers = [value(34665, 0, 4), value(34853, 0, 4)]
    main_bytes = len(table(8, main + pointers))
    said_at = 8 + main_bytes
    place_at = said_at + len(table(said_at, said))
    small_at = place_at + len(table(place_at, place))
    pointers = [value(34665, said_at, 4), value(34853, place_at, 4)]
    content = table(8, main + pointers, small_at if thumbnail else 0) + table(said_at, said) + table(place_at, place)
    if thumbnail:
        file = io.BytesIO()
        Image.new("RGB", (16, 12), "red").save(file, "JPEG")
        small = file.getvalue()
        rows = [value(259, 6), value(513, small_at + 2 + 36 + 4, 4), value(514, len(small), 4)]
        content += table(small_at, rows) + small
    return (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8) + content


def told(path: Path) -> tuple[dict[int, object], dict[int, object], dict[int, object], Image.Exif]:
    with Image.open(path) as opened:
        exif = opened.getexif()
        return dict(exif), dict(exif.get_ifd(ExifTags.IFD.Exif)), dict(exif.get_ifd(ExifTags.IFD.GPSInfo)), exif


def camera_file(folder: Path, suffix: str, block: bytes) -> Path:
    """A 60 x 40 picture file as a camera or another program would leave it."""
    path = folder / f"camera{suffix}"
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    if suffix == ".tif":
        exif = Image.Exif()
        exif.load(b"Exif\0\0" + block)
        picture.save(path, exif=exif)
    else:
        picture.save(path, exif=block if suffix == ".webp" else b"Exif\0\0" + block)
    return path


def check_carried(path: Path, *, srgb: bool = True, note: bool = True) -> None:
    main, said, place, exif = told(path)
    for tag, wanted in TAGS.items():
        assert main[tag] == wanted, tag
    for tag, item in CAMERA.items():
        found = said[tag]
        assert found == (item if not isinstance(item, tuple) else pytest.approx(item[0] / item[1])), tag
    assert place == {
        **PLACE,
        2: pytest.approx((48, 51, 30.12)),
        4: pytest.approx((2, 21, 5)),
    }
    assert said.get(37500) == (MAKER_NOTE if note else None)
    assert main[274] == 1
    assert (main[282], main[283], main[296]) == (240, 240, 2)
    assert (said[40962], said[40963]) == (50, 30)
    assert said[40961] == (1 if srgb else 65535)
    assert 40965 not in said
    assert exif.get_ifd(ExifTags.IFD.IFD1) == {}  # no thumbnail, nor what describes one
    assert path.suffix == ".tif" or 531 not in main


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("source", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_from_any_format_to_any_format(tmp_path: Path, source: str, suffix: str, order: str) -> None:
    read = pixels.read(camera_file(tmp_path, source, camera_block(order)))
    assert read.exif is not None
    assert read.exif[:2] in (b"II", b"MM")
    assert source == ".tif" or read.exif == camera_block(order)
    assert read.pixels.shape == (3, 60, 40)  # orientation 6 is applied
    pixels.write(tmp_path / f"a{suffix}", PICTURE, exif=read.exif, dpi=240, recipe="r = 1")
    check_carried(tmp_path / f"a{suffix}")
    again = pixels.read(tmp_path / f"a{suffix}")
    assert (again.recipe, again.dpi, again.pixels.shape) == ("r = 1", 240, (3, 30, 50))
    if suffix in (".png", ".tif"):
        assert ((again.pixels - PICTURE).abs().max() * 127.5).item() <= 0.51
    assert again.exif is not None
    pixels.write(tmp_path / f"b{suffix}", PICTURE, exif=again.exif, dpi=240)
    check_carried(tmp_path / f"b{suffix}")
    if suffix == ".tif":  # the recipe shown as description is not taken for the user's
        assert 270 not in told(tmp_path / "b.tif")[0]


def test_with_jpegs_heading_and_through_the_canvas(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        pixels.write(tmp_path / f"a{suffix}", PICTURE, exif=b"Exif\0\0" + camera_block(), dpi=240)
        how = {"exif": camera_block(), "bit_depth": 8, "dpi": 240}
        with pixels.Canvas(tmp_path / f"b{suffix}", 30, 50, **how) as canvas:  # type: ignore[arg-type]
            canvas.write_rows(PICTURE[:, :7])
            canvas.write_rows(PICTURE[:, 7:])
            canvas.commit()
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
        check_carried(tmp_path / f"b{suffix}")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_maker_notes_keep_their_place(tmp_path: Path, suffix: str) -> None:
    block = camera_block()
    pixels.write(tmp_path / f"a{suffix}", PICTURE, exif=block)
    kept = pixels.read(tmp_path / f"a{suffix}").exif
    assert kept is not None
    assert kept.find(MAKER_NOTE) == block.find(MAKER_NOTE) > 8


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_thumbnail_is_gone_for_good(tmp_path: Path, suffix: str) -> None:
    block = camera_block()
    thumbnail = block[block.rindex(b"\xff\xd8\xff") :]
    assert len(thumbnail) > 300
    pixels.write(tmp_path / f"a{suffix}", PICTURE, exif=block)
    assert thumbnail[-200:] not in (tmp_path / f"a{suffix}").read_bytes()


def test_other_space_other_tag(tmp_path: Path) -> None:
    pixels.write(tmp_path / "a.jpg", PICTURE, exif=camera_block(), dpi=240, encoding=Encoding(space="adobe-rgb"))
    check_carried(tmp_path / "a.jpg", srgb=False)
    with Image.open(tmp_path / "a.jpg") as opened:
        assert b"Adobe RGB" in opened.info["icc_profile"]


@pytest.mark.parametrize(
    "how", [Encoding(), Encoding(tiled=True), Encoding(compression="none")], ids=["strips", "tiles", "none"]
)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_tiff_of_every_layout(
    tmp_path: Path, how: Encoding, order: str, big: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if big:
        monkeypatch.setattr(encoding_module, "_CLASSIC_TIFF_BYTES", 1000)
    alpha = torch.rand(1, 30, 50)
    block = camera_block(order)
    pixels.write(
        tmp_path / "a.tif", PICTURE, alpha=alpha, bit_depth=16, dpi=240, exif=block, recipe="r = 1", encoding=how
    )
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages[0]
        tags = page.tags
        assert (len(file.pages), file.is_bigtiff) == (1, big)
        assert page.is_tiled == how.tiled
        assert page.asarray().shape == (30, 50, 4)
        wanted = ((PICTURE.permute(1, 2, 0) + 1) * 32767.5).round().numpy()
        assert np.abs(page.asarray()[..., :3] - wanted).max() <= 1
        assert (tags["Make"].value, tags["Orientation"].value, tags["ImageDescription"].value) == (
            "MakerCo",
            1,
            "r = 1",
        )
        assert tags["XResolution"].value == (240, 1)
        assert [tag.code for tag in tags] == sorted(tag.code for tag in tags)
        camera = tags["ExifTag"].value
        assert (camera["ExposureTime"], camera["LensModel"]) == ((1, 125), "Lens 50mm")
        assert camera["MakerNote"] == MAKER_NOTE
        assert camera["PixelXDimension"] == 50
        assert tags["GPSTag"].value["GPSLatitude"] == (48, 1, 51, 1, 3012, 100)
    image = pyvips.Image.new_from_file(str(tmp_path / "a.tif"), fail_on="warning")
    assert image.avg() > 0
    if not big:
        with Image.open(tmp_path / "a.tif") as opened:
            assert opened.getexif().get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"


def test_user_description_stays_where_no_recipe_takes_its_place(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[270] = "Harbour at dusk"
    for suffix in SUFFIXES:
        for recipe in (None, "r = 1"):
            pixels.write(tmp_path / f"a{suffix}", PICTURE, exif=exif.tobytes(), recipe=recipe, overwrite=True)
            shown = "r = 1" if suffix == ".tif" and recipe else "Harbour at dusk"
            assert told(tmp_path / f"a{suffix}")[0][270] == shown


def test_from_avif(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "a.avif", exif=b"Exif\0\0" + camera_block())
    block = pixels.read(tmp_path / "a.avif").exif
    assert block is not None
    assert block[:2] == b"II"
    pixels.write(tmp_path / "b.png", PICTURE, exif=block, dpi=240)
    check_carried(tmp_path / "b.png")


def test_no_exif_no_block(tmp_path: Path) -> None:
    for suffix in (".png", ".tif", ".jpg"):
        Image.new("RGB", (9, 9)).save(tmp_path / f"a{suffix}")
    assert pixels.read(tmp_path / "a.png").exif is None
    assert pixels.read(tmp_path / "a.jpg").exif is None
    assert pixels.read(tmp_path / "a.tif").exif is None


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_exif_is_never_fatal(tmp_path: Path, suffix: str) -> None:
    """Cut, scrambled and hostile blocks: the picture is written, and is whole, whatever is kept of them."""
    block = camera_block()
    dice = random.Random(9)
    hostile = [
        b"",
        b"II",
        b"nonsense" * 9,
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff" + bytes(4000),
        b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 271, 2, 0xFFFFFFFF, 8),
        b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 34665, 4, 1, 8) + bytes(4),  # a table that leads to itself
        b"II+\0\x08\0\0\0" + struct.pack("<QQ", 2**63 + 1, 2**64 - 1),
        *(block[: dice.randrange(len(block))] for _ in range(10)),
    ]
    for _ in range(25):
        scrambled = bytearray(block)
        for _ in range(dice.randrange(1, 30)):
            scrambled[dice.randrange(2, 700)] = dice.randrange(256)
        hostile.append(bytes(scrambled))
    path = tmp_path / f"a{suffix}"
    for content in hostile:
        pixels.write(path, PICTURE, exif=content, dpi=240, recipe="r", overwrite=True)
        with Image.open(path) as opened:
            assert opened.size == (50, 30)
            opened.load()
        read = pixels.read(path)
        assert (read.pixels.shape, read.recipe) == ((3, 30, 50), "r")
        if suffix != ".webp" or b"MakerCo" in path.read_bytes():
            assert read.dpi == 240


def test_a_source_with_damaged_exif_is_read(tmp_path: Path) -> None:
    for length in (10, 40, 200):
        path = camera_file(tmp_path, ".jpg", camera_block()[:length])
        read = pixels.read(path)
        pixels.write(tmp_path / "a.png", PICTURE, exif=read.exif, overwrite=True)
        assert pixels.read(tmp_path / "a.png").pixels.shape == (3, 30, 50)


def test_too_large_blocks(tmp_path: Path) -> None:
    """A megabyte is too much for any format; where a JPEG has no room, the maker notes go first."""
    large = parse(camera_block())
    assert large is not None
    note = large.camera[37500]
    for size, kept in [(60_000, True), (70_000, False), (1_100_000, None)]:
        entry = type(note)(7, size, bytes(size), note.at)
        block = to_bytes(type(large)("<", large.main, large.camera | {37500: entry}, large.place))
        pixels.write(tmp_path / "a.jpg", PICTURE, exif=block, dpi=240, overwrite=True)
        main, said, _, _ = told(tmp_path / "a.jpg")
        assert (37500 in said) == bool(kept)
        assert (271 in main) == (kept is not None)
        assert pixels.read(tmp_path / "a.jpg").dpi == 240
