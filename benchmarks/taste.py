"""What a taste learns from how many swipes, on labelled pictures: who likes one attribute swipes, the rest is held out.

    python benchmarks/taste.py FOLDER [--likes male=1 style=long yaw>0]

FOLDER holds pictures and a labels.jsonl that names these attributes. For each taste and number of swipes, in a random
order and for 120 with the doubtful first: how often the taste is right about the pictures that were not swiped, how
often it puts a liked one before another (AUC), and what it says itself. Does not depend on the machine's load.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from upimagine.choose.catalog_rows import fill_features
from upimagine.choose.catalog_taste import Tasted, TasteOfCatalog
from upimagine.data.catalog import Catalog
from upimagine.data.scan import scan
from upimagine.data.verdicts import Verdict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--likes", nargs="+", default=["yaw>0", "male=1", "style=long"])
    chosen = parser.parse_args()
    rows = [json.loads(line) for line in (chosen.folder / "labels.jsonl").read_text().splitlines()]
    said = {Path(row["file"]).stem: row for row in rows}
    with tempfile.TemporaryDirectory() as folder, Catalog(Path(folder) / "c.db", create=True) as catalog:
        scan(catalog, [chosen.folder], threads=1)
        fill_features(catalog, threads=1)
        places = catalog.connection.execute("SELECT picture, path FROM places WHERE picture IS NOT NULL")
        known = {picture: said[Path(path).stem] for picture, path in places if Path(path).stem in said}
        taste = TasteOfCatalog.open(catalog)
        for like in chosen.likes:
            show(like, taste, {picture: is_liked(like, row) for picture, row in known.items()})


def is_liked(like: str, row: dict[str, object]) -> bool:
    if ">" in like:
        name, _, least = like.partition(">")
        return float(str(row[name])) > float(least)
    name, _, value = like.partition("=")
    return row[name] == value or str(row[name]) in (value, f"{value}.0")


def show(like: str, taste: TasteOfCatalog, liked: dict[int, bool]) -> None:
    order = [int(picture) for picture in np.random.default_rng(0).permutation(list(liked))]
    print(f"\n{like}: {np.mean(list(liked.values())):.0%} of {len(liked)} pictures")
    for count in (30, 60, 120, 250):
        swiped = {picture: verdict(liked[picture]) for picture in order[:count]}
        report(f"{count} at random", taste.learn(swiped), swiped, liked)
    swiped = {picture: verdict(liked[picture]) for picture in order[:30]}
    while len(swiped) < 120:
        rest = [picture for picture in order if picture not in swiped]
        doubtful = taste.learn(swiped).doubtful_first(rest)[:10]
        swiped |= {picture: verdict(liked[picture]) for picture in doubtful}
    report("120, doubtful first after 30", taste.learn(swiped), swiped, liked)


def verdict(liked: bool) -> Verdict:
    return "keep" if liked else "reject"


def report(what: str, tasted: Tasted, swiped: dict[int, Verdict], liked: dict[int, bool]) -> None:
    rest = [picture for picture in liked if picture not in swiped]
    chances = np.array([tasted.chances[picture] for picture in rest])
    truth = np.array([liked[picture] for picture in rest])
    auc = (chances[truth][:, None] > chances[~truth][None]).mean()
    print(f"  {what}: right {((chances > 0.5) == truth).mean():.1%}, AUC {auc:.3f}; says: {tasted.sureness}")


if __name__ == "__main__":
    main()
