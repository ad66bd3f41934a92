"""Culling a folder: scores against planted faults, diversity against brute force, outputs and refusals."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import pytest
import torch
from conftest import DATA
from torch import Tensor

from upimagine import pixels
from upimagine.choose.artefacts import blotch_score, grid_score
from upimagine.choose.dpp import likely_set
from upimagine.choose.features import picture_features
from upimagine.choose.novelty import nearest_training
from upimagine.cli import main
from upimagine.data.catalog import Catalog
from upimagine.data.labelling import give_label
from upimagine.data.scan import scan
from upimagine.data.verdicts import VERDICT
from upimagine.make.culling import candidates_in, choose
from upimagine.make.machine import settle
from upimagine.make.measuring import measure_folder
from upimagine.make.samples import save_samples


def smooth(seed: int, count: int, size_px: int = 64, grain: float = 0.03) -> Tensor:
    coarse = torch.rand(count, 3, 5, 5, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.8
    fine = torch.randn(count, 1, size_px, size_px, generator=torch.Generator().manual_seed(seed + 1)) * grain
    return (torch.nn.functional.interpolate(coarse, size=size_px, mode="bicubic") + fine).clamp(-1, 1)


@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_grid_of_two_levels_is_told_from_grain(period: int) -> None:
    clean = smooth(1, 20, 128)
    pattern = torch.randn(period, period, generator=torch.Generator().manual_seed(2)).sign().repeat(128, 128)
    marked = clean + pattern[:128, :128] * 2 / 127.5
    assert float(grid_score(clean).min()) > float(grid_score(marked).max()) + 1
    assert abs(float(grid_score(clean).mean())) < 0.5
    # One hard edge does not repeat: clipped, it weighs less than the faint grid.
    edge = clean.clone()
    edge[:, :, :, 61:] *= -1
    assert float(grid_score(edge).min()) > float(grid_score(marked).max())


def test_a_blotch_is_seen_and_a_change_of_light_is_not() -> None:
    clean = smooth(3, 10) * 0.3  # muted: a bright picture has blotches of its own
    blotched = clean.clone()
    blotched[:, 0, 30:37, 20:27] += 0.8
    worse = blotch_score(clean) - blotch_score(blotched.clamp(-1, 1))
    assert float(worse.min()) > 0.02
    light = torch.linspace(-0.1, 0.1, 64)
    lit = blotch_score(clean) - blotch_score((clean + light).clamp(-1, 1))
    assert float(lit.abs().max()) < float(worse.min())


def test_the_likely_set_is_the_likeliest_or_nearly() -> None:
    random = torch.Generator().manual_seed(4)
    for _ in range(20):
        features = torch.randn(9, 3, generator=random, dtype=torch.float64)
        scores = torch.randn(9, generator=random, dtype=torch.float64)
        squared = torch.cdist(features, features).square()
        middle = squared[~torch.eye(9, dtype=torch.bool)].median()
        quality = (scores / 2).exp()
        kernel = quality[:, None] * torch.exp(-squared / (2 * middle)) * quality

        def volume(chosen: tuple[int, ...], kernel: Tensor = kernel) -> float:
            return float(torch.linalg.det(kernel[list(chosen)][:, list(chosen)]))

        greedy: list[int] = []
        for _ in range(3):  # the slow way: try every next one
            greedy.append(max((i for i in range(9) if i not in greedy), key=lambda i: volume((*greedy, i))))
        found = likely_set(scores, features, 3)
        assert found == greedy
        best = max(volume(chosen) for chosen in itertools.combinations(range(9), 3))
        assert volume(tuple(found)) > 0.5 * best


def test_twins_are_taken_last_by_the_likely_set() -> None:
    features = torch.tensor([[0.0, 0], [0, 0], [3, 0], [0, 3]])
    chosen = likely_set(torch.tensor([1.0, 1, 0, 0]), features, 4)
    assert chosen[0] == 0
    assert chosen[3] == 1


def test_copies_of_training_pictures_are_found() -> None:
    training = picture_features(smooth(5, 30))
    made = torch.cat([smooth(5, 30)[7:8] + 0.01, smooth(6, 5)])
    nearest = nearest_training(picture_features(made), training)
    assert nearest.copies.tolist() == [True] + [False] * 5
    assert int(nearest.index[0]) == 7


def test_culls_what_sample_made(models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, out = tmp_path / "made", tmp_path / "kept"
    save_samples(str(models["generator"]), 12, made, machine=settle("cpu", "float32"))
    before = {path.name: path.read_bytes() for path in (made / "pictures").iterdir()}
    assert main(["cull", str(made), "--keep", "3", "-o", str(out), "--json", "--diversity", "none"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["model"] == str(models["generator"])  # found through the recipes inside the pictures
    assert said["candidates"] == 12
    rows = list(csv.DictReader((out / "scores.csv").read_text().splitlines()))
    totals = [float(row["total"]) for row in rows]
    assert totals == sorted(totals, reverse=True)
    assert [row["kept"] for row in rows[:4]] == ["1", "2", "3", ""]
    for place, row in enumerate(rows[:3], start=1):
        assert (out / f"{place}-{row['picture']}").read_bytes() == before[row["picture"]]
    assert {path.name: path.read_bytes() for path in (made / "pictures").iterdir()} == before
    again = {row["number"]: row["realism"] for row in csv.DictReader((made / "scores.csv").read_text().splitlines())}
    for row in rows:  # the same critic, but on 8-bit pixels
        assert float(row["realism"]) == pytest.approx(float(again[row["number"]]), abs=0.02)
    assert main(["cull", str(made), "-o", str(out)]) == 1
    assert "not an empty folder" in capsys.readouterr().err


def test_weights_decide_and_copies_are_never_kept(pictures: Path, tmp_path: Path) -> None:
    for index, picture in enumerate(smooth(8, 6, 72, grain=0.3)):
        pixels.write(pictures / f"grainy-{index}.png", picture)
    (pictures / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    training = tmp_path / "training"
    training.mkdir()
    for name in ("grainy-0", "grainy-1", "grainy-2", "00", "01"):
        (training / f"{name}.png").write_bytes((pictures / f"{name}.png").read_bytes())
    measured = measure_folder(candidates_in(pictures), settle("cpu"), data=[training])
    assert [line.partition(":")[0] for line in measured.skipped] == [str(pictures / "broken.png")]
    assert "face" not in measured.scores  # discs are no portraits: faces rule nothing out
    names = [path.stem for path in measured.paths]

    def kept(weights: dict[str, float]) -> set[str]:
        others = dict.fromkeys(measured.scores, 0.0)
        return {names[index] for index in choose(measured, 3, weights=others | weights, diversity="none").kept}

    # Noise is what sharpness rewards; three of the grainy ones are copies.
    assert kept({"sharpness": 1}) == {"grainy-3", "grainy-4", "grainy-5"}
    assert not kept({"sharpness": -1}) & {"grainy-3", "grainy-4", "grainy-5", "00", "01"}


def test_pictures_without_a_face_are_not_kept_among_portraits(tmp_path: Path) -> None:
    face = pixels.read(DATA / "face.jpg").pixels
    for index, picture in enumerate((face, face.flip(2), face * 0.8, torch.zeros_like(face))):
        pixels.write(tmp_path / f"{index}.png", picture)
    measured = measure_folder(candidates_in(tmp_path), settle("cpu"))
    assert measured.faces == 3
    assert choose(measured, 3).total.isnan().tolist() == [False, False, False, True]
    assert not choose(measured, 3, weights={"face": 0, "symmetry": 0}).total.isnan().any()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--weight", "sharpness"], "SCORE=NUMBER"),
        (["--weight", "beauty=1"], "no such score: beauty"),
        (["--keep", "13"], "keep from 1 to 12"),
        (["--share", "0"], "cannot work"),
    ],
)
def test_refusals_say_what_would_work(
    arguments: list[str], said: str, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cull", str(pictures), "-o", str(tmp_path / "out"), *arguments]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_taste_learned_from_swipes_ranks_pictures_it_has_never_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def draw(folder: Path, seed: int, count: int) -> None:
        """Even numbers reddish, odd ones bluish."""
        for index, picture in enumerate(smooth(seed, count, 48)):
            tint = torch.tensor([0.5, 0.0, -0.5] if index % 2 == 0 else [-0.5, 0.0, 0.5])[:, None, None]
            pixels.write(folder / f"{index:03d}.png", (picture * 0.4 + tint).clamp(-1, 1))

    for name, seed, count in (("sorted", 20, 40), ("candidates", 90, 20)):
        (tmp_path / name).mkdir()
        draw(tmp_path / name, seed, count)
    with Catalog(tmp_path / "c.db", create=True) as catalog:
        scan(catalog, [tmp_path / "sorted"], threads=1)
        for path, content in catalog.connection.execute(
            "SELECT path, sha256 FROM places JOIN pictures ON pictures.id = picture ORDER BY path"
        ).fetchall():
            if int(Path(path).stem) == 20:  # too few so far: nothing is measured, nothing written
                assert main(["cull", str(tmp_path / "candidates"), "--taste", str(tmp_path / "c.db")]) == 1
                assert "a taste needs" in capsys.readouterr().err
            give_label(catalog, content, VERDICT, "keep" if int(Path(path).stem) % 2 == 0 else "reject")
    arguments = ["cull", str(tmp_path / "candidates"), "--taste", str(tmp_path / "c.db"), "--json"]
    assert main([*arguments, "--weight", "taste=5", "--diversity", "none", "-o", str(tmp_path / "kept")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {int(kept["file"][-7:-4]) % 2 for kept in said["kept"]} == {0}
    assert said["taste"].startswith("right about")
    rows = list(csv.DictReader((tmp_path / "kept" / "scores.csv").read_text().splitlines()))
    liked: dict[int, list[float]] = {0: [], 1: []}
    for row in rows:
        liked[int(row["picture"][:3]) % 2].append(float(row["taste"]))
    assert min(liked[0]) > max(liked[1])
