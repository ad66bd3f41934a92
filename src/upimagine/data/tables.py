"""The catalog as a table: CSV, JSONL or Parquet, one row a picture, whole or not at all."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from upimagine import pixels
from upimagine.data.catalog import Catalog
from upimagine.data.records import Record, Which, measure_names, records
from upimagine.errors import UpimagineError

_GROUP = 10_000  # rows of a Parquet row group, which are in memory at a time

Write = Callable[[BinaryIO, list[str], Iterator[Record]], int]


def export_table(catalog: Catalog, path: Path, which: Which = "all", overwrite: bool = False) -> int:
    """Write a row for every picture; gives back how many there are.

    Columns: path, sha256, places, bytes, height, width, every measure (empty where it says nothing), flags (raised
    ones, separated by spaces) and labels (their whole history; as JSON in CSV and Parquet).

    Raises:
        UpimagineError: the ending is not .csv, .jsonl or .parquet, the file exists, or pyarrow is missing.
    """
    write = check_table(path)
    names = measure_names(catalog)
    with pixels.replacing(path, overwrite) as file:
        return write(file, names, records(catalog, which))


def check_table(path: Path) -> Write:
    """The way to write such a file, to know before a long scan that there is one. Raises UpimagineError if not."""
    write = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}.get(path.suffix.lower())
    if write is None:
        raise UpimagineError(f"{path} is no table; end it in .csv, .jsonl or .parquet")
    if write is _parquet:
        _arrow()
    return write


def _plain(record: Record) -> dict[str, Any]:
    return {
        "path": record.path,
        "sha256": record.sha256.hex(),
        "places": record.places,
        "bytes": record.bytes,
        "height": record.height,
        "width": record.width,
    }


def _labels(record: Record) -> list[dict[str, Any]]:
    return [asdict(label) for label in record.labels]


def _flat(record: Record, names: list[str]) -> dict[str, Any]:
    scores = {name: record.scores.get(name) for name in names}
    labels = json.dumps(_labels(record), ensure_ascii=False)
    return _plain(record) | scores | {"flags": " ".join(record.flags), "labels": labels}


def _csv(file: BinaryIO, names: list[str], rows: Iterator[Record]) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    columns = ["path", "sha256", "places", "bytes", "height", "width", *names, "flags", "labels"]
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    count = 0
    for count, record in enumerate(rows, 1):  # noqa: B007 (the last one counts)
        writer.writerow(_flat(record, names))
    text.detach()  # flushes, and leaves the file open for whoever opened it
    return count


def _jsonl(file: BinaryIO, names: list[str], rows: Iterator[Record]) -> int:
    count = 0
    for count, record in enumerate(rows, 1):  # noqa: B007 (the last one counts)
        whole = _plain(record) | {"scores": record.scores, "flags": record.flags, "labels": _labels(record)}
        file.write(json.dumps(whole, ensure_ascii=False).encode() + b"\n")
    return count


def _parquet(file: BinaryIO, names: list[str], rows: Iterator[Record]) -> int:
    arrow, parquet = _arrow()
    text, whole, real = arrow.string(), arrow.int64(), arrow.float64()
    schema = arrow.schema(
        [("path", text), ("sha256", text)]
        + [(name, whole) for name in ("places", "bytes", "height", "width")]
        + [(name, real) for name in names]
        + [("flags", text), ("labels", text)]
    )
    count = 0
    with parquet.ParquetWriter(file, schema) as writer:
        while group := list(itertools.islice(rows, _GROUP)):
            writer.write_table(arrow.Table.from_pylist([_flat(record, names) for record in group], schema))
            count += len(group)
    return count


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UpimagineError("Parquet needs pyarrow; pip install 'upimagine[parquet]', or export .csv") from error
    return pyarrow, pyarrow.parquet
