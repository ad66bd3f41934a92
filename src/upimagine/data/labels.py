"""What is said about pictures: in a file beside them, beside each of them, or by the folder they lie in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from upimagine.data.found import Label
from upimagine.errors import UpimagineError

DATASET, ROWS = "dataset.json", "labels.jsonl"
"""StyleGAN's form, {"labels": [["00000/img.png", 3], ...]} or null (stylegan2-ada, training/dataset.py); and rows of
{"file": "img", "age": 0.3, ...}, with or without the suffix."""

Files = Mapping[str, Callable[[], bytes]]
"""Names with forward slashes, relative to what was named as data, and how to read each."""


def labels_of(pictures: list[str], files: Files, where: Path, beside: bool) -> list[Label]:
    """One label a picture, None where nothing is said of it.

    `dataset.json` or else `labels.jsonl`, the one nearest to the top, decides alone where there is one. Otherwise, with
    `beside`, the .cls or else .json file of the same name up to the first dot (WebDataset's form); otherwise, when the
    pictures lie in several folders, the name of each one's folder.

    Raises UpimagineError, one line, for a file that does not have its form.
    """
    for form, parse in ((DATASET, _parse_dataset), (ROWS, _parse_rows)):
        tables = sorted((name for name in files if PurePosixPath(name).name == form), key=lambda name: name.count("/"))
        if tables:
            folder = PurePosixPath(tables[0]).parent
            said = parse(files[tables[0]](), where / tables[0])
            return [_look_up(said, PurePosixPath(picture), folder) for picture in pictures]
    if beside and any(name.endswith((".cls", ".json")) for name in files):
        return [_beside(picture, files, where) for picture in pictures]
    folders = [PurePosixPath(picture).parent.name for picture in pictures]
    return (
        list(folders)
        if len({str(PurePosixPath(picture).parent) for picture in pictures}) > 1
        else [None] * len(pictures)
    )


def _look_up(said: dict[str, Label], picture: PurePosixPath, folder: PurePosixPath) -> Label:
    """By the name relative to the table's folder or by the name alone, with its suffix or without."""
    names = [picture.relative_to(folder)] if picture.is_relative_to(folder) else []
    for name in (*names, PurePosixPath(picture.name)):
        for key in (str(name), str(name.with_suffix(""))):
            if key in said:
                return said[key]
    return None


def _beside(picture: str, files: Files, where: Path) -> Label:
    path = PurePosixPath(picture)
    key = str(path.with_name(path.name.split(".", 1)[0]))
    if (name := f"{key}.cls") in files:
        text = files[name]().decode("utf-8", "replace").strip()
        return int(text) if text.isdecimal() else text
    if (name := f"{key}.json") in files:
        return _label_in(_parse(files[name](), where / name))
    return None


def _parse_dataset(content: bytes, where: Path) -> dict[str, Label]:
    table = _parse(content, where)
    pairs = table.get("labels", ()) if isinstance(table, dict) else ()
    try:
        return {str(name).replace("\\", "/"): label for name, label in pairs or ()}
    except (TypeError, ValueError) as error:
        raise UpimagineError(f'{where} is not {{"labels": [[NAME, LABEL], ...]}}; mend it or move it away') from error


def _parse_rows(content: bytes, where: Path) -> dict[str, Label]:
    said: dict[str, Label] = {}
    for number, line in enumerate(content.decode("utf-8-sig", "replace").splitlines(), start=1):
        if not line.strip():
            continue
        row = _parse(line, f"{where}, line {number},")
        if not isinstance(row, dict) or not isinstance(row.get("file"), str):
            raise UpimagineError(f'{where}, line {number}, is not {{"file": NAME, ...}}; mend it or move it away')
        said[row["file"].replace("\\", "/")] = _label_in({name: row[name] for name in row if name != "file"})
    return said


def _parse(content: bytes | str, where: Path | str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UpimagineError(f"{where} is no JSON; mend it or move it away") from error


def _label_in(said: Any) -> Label:
    """What stands under "label", if that is there, or else all that is said."""
    label: Label = said["label"] if isinstance(said, dict) and "label" in said else said
    return label
