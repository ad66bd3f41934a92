"""Near-duplicates in a catalog: of each picture, the nearest better one."""

from __future__ import annotations

import numpy as np

from upimagine.data.catalog import Catalog
from upimagine.data.near import NONE, nearest_better

TWIN_MEASURE = "twin_bits"


def find_twins(catalog: Catalog) -> None:
    """Bring `near` and the score `twin_bits` up to date with the pictures that have come and gone.

    Of two near pictures the better is the one with more pixels, then with more bytes, then with the smaller SHA-256,
    and only the other can be flagged. Only pictures that are there count: when the better one vanishes, the other is
    judged anew. New pictures are compared with all, old ones only with new ones.
    """
    _forget_what_changed(catalog)
    # The search takes minutes where very many pictures are alike: nobody has to wait for it. Of two scans at a time
    # each compares its own pictures, and the one that looks later sees those of both.
    with catalog.reading() as connection:
        rows = connection.execute(
            """SELECT id, phash, compared FROM pictures WHERE phash IS NOT NULL AND id IN (SELECT id FROM live)
            ORDER BY height * width DESC, bytes DESC, sha256"""
        ).fetchall()
    fresh = np.array([index for index, row in enumerate(rows) if not row[2]], np.int64)
    twins: list[tuple[int, int, int]] = []
    if len(fresh):
        hashes = np.frombuffer(b"".join(row[1] for row in rows), np.uint8).reshape(len(rows), -1)
        better, bits = nearest_better(hashes, fresh)
        twins = [
            (rows[index][0], rows[better[index]][0], int(bits[index]))
            for index in np.flatnonzero(better != NONE).tolist()
        ]
    _keep(catalog, twins, [rows[index][:2] for index in fresh.tolist()])


def _forget_what_changed(catalog: Catalog) -> None:
    """Mark what must be compared: all that have gone, for they may come back, and those that had them for better."""
    with catalog.writing() as connection:
        connection.execute("UPDATE pictures SET compared = 0 WHERE compared AND id NOT IN (SELECT id FROM live)")
        connection.execute(
            """UPDATE pictures SET compared = 0 WHERE id IN
            (SELECT near.picture FROM near JOIN pictures AS better ON better.id = near.better WHERE NOT better.compared)
            """
        )
        connection.execute("DELETE FROM near WHERE picture IN (SELECT id FROM pictures WHERE NOT compared)")


def _keep(catalog: Catalog, twins: list[tuple[int, int, int]], compared: list[tuple[int, bytes]]) -> None:
    """Write (picture, better, bits) where they are nearer than what is known; and the score that follows from all."""
    with catalog.writing() as connection:
        connection.executemany(
            """INSERT INTO near (picture, better, bits) VALUES (?, ?, ?) ON CONFLICT (picture) DO UPDATE
            SET better = excluded.better, bits = excluded.bits WHERE excluded.bits < near.bits""",
            twins,
        )
        # Not one that another scan has measured anew meanwhile.
        connection.executemany("UPDATE pictures SET compared = 1 WHERE id = ? AND phash = ?", compared)
        measure = catalog.measure(TWIN_MEASURE)
        connection.execute(
            "DELETE FROM scores WHERE measure = ? AND picture NOT IN (SELECT picture FROM near)", (measure,)
        )
        connection.execute(
            """INSERT INTO scores (picture, measure, value, writer) SELECT picture, ?, bits, ? FROM near WHERE true
            ON CONFLICT (picture, measure) DO UPDATE SET value = excluded.value, writer = excluded.writer
            WHERE value <> excluded.value""",
            (measure, catalog.writer()),
        )
