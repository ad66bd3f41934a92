"""Pictures out of folders, zips and shards: the same tensors in the same order, labels, and archives that mean harm."""

from __future__ import annotations

import io
import json
import random
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import draw_pictures

from upimagine.cli import main
from upimagine.data.found import Found, Label
from upimagine.data.pairs import load_combined, load_folders, load_pictures
from upimagine.data.sources import opened
from upimagine.data.tiles import TileAugment
from upimagine.errors import PictureError, UpimagineError
from upimagine.train.squares import decode_squares
from upimagine.train.upres import UpresSettings, make_upres_task

Files = dict[str, bytes]


def nothing_skipped(path: Path, reason: str) -> None:
    raise AssertionError(reason)


def contents(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def write_zip(path: Path, files: Files, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: Files) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def listed(*data: Path) -> list[tuple[str, Label]]:
    """Names and labels."""
    with opened(list(data)) as found:
        return [(picture.path.name, picture.label) for picture in found]


def complaint(path: Path) -> str:
    """The one line with which a source is refused."""
    with pytest.raises(UpimagineError) as caught, opened([path]):
        pass
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.fixture
def tiny(tmp_path: Path) -> Files:
    """Three pictures of 24 px, as files."""
    return contents(draw_pictures(tmp_path / "tiny", count=3, size_px=24))


def test_folder_zip_and_shard_give_the_same_pictures_in_the_same_order(pictures: Path, tmp_path: Path) -> None:
    (pictures / "Zoë 東京.png").write_bytes((pictures / "03.png").read_bytes())
    (pictures / "notes.txt").write_text("no picture")
    files = contents(pictures)
    backwards = dict(sorted(files.items(), reverse=True))
    sources = [
        pictures,
        write_zip(tmp_path / "packed.zip", backwards),
        write_zip(tmp_path / "STORED.ZIP", files, zipfile.ZIP_STORED),
        write_tar(tmp_path / "shard.tar", backwards),
    ]
    decoded = [decode_squares([source], 32, nothing_skipped) for source in sources]
    assert len(decoded[0].pictures) == 13
    for source, other in zip(sources[1:], decoded[1:], strict=True):
        assert torch.equal(torch.stack(other.pictures), torch.stack(decoded[0].pictures))
        assert other.paths == [source / path.name for path in decoded[0].paths]


def test_several_sources_follow_each_other_as_they_were_given(tmp_path: Path, tiny: Files) -> None:
    names = list(tiny)
    one, two = write_tar(tmp_path / "b.tar", {names[2]: tiny[names[2]]}), write_zip(tmp_path / "a.zip", tiny)
    assert [name for name, _ in listed(one, two, tmp_path / "tiny")] == [names[2], *sorted(names), *sorted(names)]


def test_large_pictures_in_an_archive_become_tiles(tmp_path: Path) -> None:
    files = contents(draw_pictures(tmp_path / "large", count=2, size_px=264))
    zipped = write_zip(tmp_path / "large.zip", files | {"small.png": draw_png(tmp_path)})
    skipped: list[Path] = []
    settings = UpresSettings(guide="none", width=1 / 16, critic_width=4)
    make_upres_task([zipped], settings, TileAugment(), 0, lambda path, reason: skipped.append(path))
    assert skipped == [zipped / "small.png"]


def test_pairs_may_lie_in_archives(tmp_path: Path) -> None:
    one, other = (draw_pictures(tmp_path / name, count=2, size_px=size) for name, size in (("one", 40), ("other", 40)))
    zipped, shard = write_zip(tmp_path / "one.zip", contents(one)), write_tar(tmp_path / "other.tar", contents(other))
    for load in (
        lambda first, second: load_folders(first, [second], 32, 16, nothing_skipped),
        lambda first, _: load_combined([first], 32, 16, nothing_skipped),
        lambda first, _: load_pictures([first], 32, 16, nothing_skipped),
    ):
        for archived, plain in zip(load(zipped, shard), load(one, other), strict=True):
            assert torch.equal(archived, plain)


def draw_png(tmp_path: Path) -> bytes:
    return (draw_pictures(tmp_path / "one", count=1, size_px=24) / "00.png").read_bytes()


def test_a_folder_of_folders_is_a_folder_of_classes(tmp_path: Path, tiny: Files) -> None:
    for kind in ("dogs", "cats", ".hidden"):
        (tmp_path / "animals" / kind).mkdir(parents=True)
        (tmp_path / "animals" / kind / "1.png").write_bytes(tiny["00.png"])
    expected = [("1.png", "cats"), ("1.png", "dogs")]
    assert listed(tmp_path / "animals") == expected
    (tmp_path / "animals/0.png").write_bytes(tiny["00.png"])  # pictures of its own: then those alone, as ever
    assert listed(tmp_path / "animals") == [("0.png", None)]
    nested = {f"./set/{kind}/1.png": tiny["00.png"] for kind in ("dogs", "cats")}
    assert listed(write_zip(tmp_path / "a.zip", nested | {"__MACOSX/._1.png": b"x", "set/.b.png": b"x"})) == expected
    assert listed(write_tar(tmp_path / "a.tar", nested)) == expected
    assert listed(write_zip(tmp_path / "b.zip", {"set/1.png": tiny["00.png"]})) == [("1.png", None)]


def test_labels_in_rows(tmp_path: Path, tiny: Files) -> None:
    rows = b'{"file": "00", "age": 0.3, "style": "long"}\n\n{"file": "02.png", "label": 7}\n'
    expected = [("00.png", {"age": 0.3, "style": "long"}), ("01.png", None), ("02.png", 7)]
    (tmp_path / "tiny/labels.jsonl").write_bytes(rows)
    assert listed(tmp_path / "tiny") == expected
    assert listed(write_zip(tmp_path / "a.zip", tiny | {"labels.jsonl": rows})) == expected
    assert decode_squares([tmp_path / "a.zip"], 16, nothing_skipped).labels == [label for _, label in expected]


def test_labels_as_stylegan_keeps_them(tmp_path: Path, tiny: Files) -> None:
    files = {f"0000{index % 2}/img{index}.png": content for index, content in enumerate(tiny.values())}
    table = {"labels": [["00000/img0.png", 4], ["00001/img1.png", [0.0, 1.0]], ["00000/img2.png", 5]]}
    zipped = write_zip(tmp_path / "a.zip", files | {"dataset.json": json.dumps(table).encode()})
    assert listed(zipped) == [("img0.png", 4), ("img2.png", 5), ("img1.png", [0.0, 1.0])]
    below = {f"set/{name}": content for name, content in files.items()}
    zipped = write_zip(tmp_path / "b.zip", below | {"set/dataset.json": json.dumps(table).encode()})
    assert listed(zipped) == [("img0.png", 4), ("img2.png", 5), ("img1.png", [0.0, 1.0])]
    none = write_zip(tmp_path / "c.zip", files | {"dataset.json": b'{"labels": null}'})
    assert [label for _, label in listed(none)] == [None] * 3  # and not the names of the numbered folders


def test_labels_beside_the_pictures_of_a_shard(tmp_path: Path, tiny: Files) -> None:
    png = tiny["00.png"]
    files = {"a/1.png": png, "a/1.cls": b"12\n", "a/1.json": b'"no"', "b/1.png": png, "b/1.cls": b"cat"}
    files |= {"c.rgb.png": png, "c.json": b'{"label": [1, 2], "by": "me"}', "d.png": png, "d.json": b'{"by": "me"}'}
    files |= {"e.png": png}
    expected = [12, "cat", [1, 2], {"by": "me"}, None]
    assert [label for _, label in listed(write_tar(tmp_path / "a.tar", files))] == expected


def test_labels_without_their_form_are_refused(tmp_path: Path, tiny: Files) -> None:
    for name, content, words in [
        ("labels.jsonl", b'{"file": "00"}\n{"age": 3}', r"labels.jsonl, line 2, is not"),
        ("labels.jsonl", b'{"file": ', r"labels.jsonl, line 1, is no JSON"),
        ("dataset.json", b"[" * 100_000, r"dataset.json is no JSON"),
        ("dataset.json", b'{"labels": [3]}', r"dataset.json is not"),
        ("00.json", b"{", r"00.json is no JSON"),
    ]:
        with (
            pytest.raises(UpimagineError, match=words),
            opened([write_tar(tmp_path / "a.tar", tiny | {name: content})]),
        ):
            pass


def test_names_that_climb_do_no_harm(tmp_path: Path, tiny: Files) -> None:
    inner = tmp_path / "deep/inner"
    inner.mkdir(parents=True)
    names = ["../../x.png", "/etc/y.png", "..\\..\\z.png", "C:\\w.png", "new\nline\x1b[31m.png"]
    before = sorted(tmp_path.rglob("*"))
    for path, write in ((inner / "a.zip", write_zip), (inner / "a.tar", write_tar)):
        write(path, dict.fromkeys(names, tiny["00.png"]))
        decoded = decode_squares([path], 16, nothing_skipped)
        assert len(decoded.pictures) == 5
        for called in decoded.paths:
            assert called.is_relative_to(path)
            assert ".." not in called.parts
            assert str(called).isprintable()
        path.unlink()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_member_without_a_name_is_passed_over(tmp_path: Path, tiny: Files) -> None:
    with zipfile.ZipFile(write_zip(tmp_path / "a.zip", tiny), "a") as archive:
        archive.writestr(zipfile.ZipInfo(""), b"nameless")
    assert len(listed(tmp_path / "a.zip")) == 3


def test_links_in_a_shard_are_not_followed(tmp_path: Path, tiny: Files) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            entry = tarfile.TarInfo("link.png")
            entry.type, entry.linkname = kind, str(tmp_path / "tiny/00.png")
            archive.addfile(entry)
    assert "holds no pictures" in complaint(tmp_path / "a.tar")


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_a_cut_archive_is_one_clear_line(write: Callable[[Path, Files], Path], tmp_path: Path, tiny: Files) -> None:
    whole = write(tmp_path / ("a.zip" if write is write_zip else "a.tar"), tiny)
    content = whole.read_bytes()
    length = len(content) if write is write_zip else sum(512 + -(-len(file) // 512) * 512 for file in tiny.values())
    for size in (0, 100, 600, length // 2, length - 700, length - 1, length):
        whole.write_bytes(content[:size])
        if write is write_tar or size < length:
            assert "damaged" in complaint(whole)


def test_archives_that_cannot_be_read_are_refused(tmp_path: Path, tiny: Files) -> None:
    assert "no such file" in complaint(tmp_path / "gone.zip")
    assert "no such file" in complaint(tmp_path / "gone.tar")
    assert "is not a folder, nor a .zip, .tar or catalog" in complaint(tmp_path / "gone.rar")
    assert "holds no pictures" in complaint(write_zip(tmp_path / "a.zip", {"a.txt": b"x"}))
    (tmp_path / "b.zip").write_bytes(write_tar(tmp_path / "b.tar", tiny).read_bytes())
    assert "no zip archive" in complaint(tmp_path / "b.zip")
    with tarfile.open(tmp_path / "c.tar", "w:gz") as archive:
        archive.add(tmp_path / "tiny")
    assert "compressed" in complaint(tmp_path / "c.tar")
    two = tmp_path / "d.tar"
    two.write_bytes(2 * (tmp_path / "b.tar").read_bytes())
    assert "another archive after 3 files" in complaint(two)


def patched(path: Path, signature: bytes, offset: int, value: bytes) -> Path:
    """A zip with bytes of its first such header changed."""
    content = bytearray(path.read_bytes())
    at = content.index(signature) + offset
    content[at : at + len(value)] = value
    path.write_bytes(content)
    return path


CENTRAL = b"PK\x01\x02"


def test_an_encrypted_zip_is_refused(tmp_path: Path, tiny: Files) -> None:
    assert "is encrypted" in complaint(patched(write_zip(tmp_path / "a.zip", tiny), CENTRAL, 8, b"\x01\x00"))


def test_members_that_declare_too_much_are_passed_over(tmp_path: Path, tiny: Files) -> None:
    skipped: list[str] = []
    zipped = patched(write_zip(tmp_path / "a.zip", tiny), CENTRAL, 24, struct.pack("<I", 300 << 20))
    packed = write_zip(tmp_path / "b.zip", {"rare.png": tiny["00.png"]}, zipfile.ZIP_LZMA)
    kept = decode_squares([zipped, packed], 16, lambda path, reason: skipped.append(reason))
    assert [path.name for path in kept.paths] == ["01.png", "02.png"]
    assert f"{zipped}/00.png: has 300 MiB unpacked, more than 256" in skipped[0]
    assert f"{packed}/rare.png: is packed in a rare way" in skipped[1]


def test_a_bomb_that_declares_little_fills_no_memory(tmp_path: Path, tiny: Files) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("bomb.png", "w") as member:
            for _ in range(64):
                member.write(bytes(1 << 20))
        archive.writestr("good.png", tiny["00.png"])
    bomb = patched(tmp_path / "a.zip", CENTRAL, 24, struct.pack("<I", 1000))
    with opened([bomb]) as found:
        tracemalloc.start()
        with pytest.raises(PictureError, match=r"bomb\.png: is damaged"):
            found[0].read()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found[1].read().pixels.shape == (3, 24, 24)
    assert peak < 2 << 20


def test_damage_anywhere_is_an_error_of_ours_or_a_picture_passed_over(tmp_path: Path, tiny: Files) -> None:
    dice = random.Random(5)
    for path, write in ((tmp_path / "a.zip", write_zip), (tmp_path / "a.tar", write_tar)):
        whole = write(path, tiny | {"labels.jsonl": b'{"file": "00", "label": 1}'}).read_bytes()
        refused = 0
        for _ in range(150):
            content = bytearray(whole)
            for _ in range(dice.choice((1, 4, 30))):
                content[dice.randrange(len(content))] = dice.randrange(256)
            path.write_bytes(content)
            try:
                with opened([path]) as found:
                    for picture in found:
                        try:
                            picture.read()
                        except PictureError as error:
                            assert "\n" not in str(error)
            except UpimagineError as error:
                refused += 1
                assert "\n" not in str(error)
        assert 0 < refused < 150


def test_three_pictures_one_of_them_broken_train_on_two(
    tmp_path: Path, tiny: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tiny"
    (folder / "01.png").write_bytes(tiny["01.png"][:200])
    arguments = ["train", "dcgan", "--data", str(folder), "--out", str(tmp_path / "run"), "--size-px", "64"]
    arguments += ["--width", "4", "--kimg", "0.004", "--batch", "2", "--device", "cpu", "--precision", "float32"]
    assert main([*arguments, "--threads", "1"]) == 3
    warned = [line for line in capsys.readouterr().err.splitlines() if "01.png" in line]
    assert len(warned) == 1
    assert "damaged" in warned[0]
    assert (tmp_path / "run/model.safetensors").is_file()


def test_a_picture_that_vanishes_between_listing_and_reading_is_named(tmp_path: Path, tiny: Files) -> None:
    with opened([tmp_path / "tiny"]) as found:
        (tmp_path / "tiny/00.png").unlink()
        with pytest.raises(PictureError, match=r"00\.png: there is no such file"):
            found[0].read()
    assert Found(tmp_path / "tiny/01.png").read().pixels.shape == (3, 24, 24)
