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
    with catalog.writing() as connection:
        connection.execute("UPDATE pictures SET compared = 0 WHERE compared AND id NOT IN (SELECT id FROM live)")
        # Those whose better one has gone, or been measured anew, must look for another.
        connection.execute(
            """UPDATE pictures SET compared = 0 WHERE id IN
            (SELECT near.picture FROM near JOIN pictures AS better ON better.id = near.better WHERE NOT better.compared)
            """
        )
        connection.execute("DELETE FROM near WHERE picture IN (SELECT id FROM pictures WHERE NOT compared)")
        rows = connection.execute(
            """SELECT id, phash, compared FROM pictures WHERE phash IS NOT NULL AND id IN (SELECT id FROM live)
            ORDER BY height * width DESC, bytes DESC, sha256"""
        ).fetchall()
        fresh = np.array([index for index, row in enumerate(rows) if not row[2]], np.int64)
        if len(fresh):
            hashes = np.frombuffer(b"".join(row[1] for row in rows), np.uint8).reshape(len(rows), -1)
            better, bits = nearest_better(hashes, fresh)
            connection.executemany(
                """INSERT INTO near (picture, better, bits) VALUES (?, ?, ?) ON CONFLICT (picture) DO UPDATE
                SET better = excluded.better, bits = excluded.bits WHERE excluded.bits < near.bits""",
                (
                    (rows[index][0], rows[better[index]][0], int(bits[index]))
                    for index in np.flatnonzero(better != NONE).tolist()
                ),
            )
            connection.execute("UPDATE pictures SET compared = 1 WHERE id IN (SELECT id FROM live)")
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
