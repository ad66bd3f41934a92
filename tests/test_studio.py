"""The studio's answers: only what lies in the folder, recipes that reach out, jobs, and its own description."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
import schemathesis
import torch
from conftest import draw_pictures
from hypothesis import HealthCheck, given, settings, strategies
from studio_server import served

from upimagine import pixels
from upimagine.data.catalog import Catalog
from upimagine.data.scan import scan
from upimagine.make.machine import settle
from upimagine.make.picture import enlarge
from upimagine.make.samples import save_samples
from upimagine.models.builtin import builtin_models
from upimagine.studio.app import studio_app
from upimagine.studio.jobs import Jobs
from upimagine.studio.latents import principal_directions
from upimagine.studio.security import Door


@contextmanager
def studio(folder: Path, cache: Path) -> Iterator[httpx.Client]:
    with (
        served(lambda hosts: studio_app(folder, hosts, Door(locked=False), cache)) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def _look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a folder is looked at once a second."""
    monkeypatch.setattr("upimagine.studio.opened._FRESH_S", 0.0)


@pytest.fixture
def folder(pictures: Path, models: dict[str, Path]) -> Path:
    """Twelve pictures, two candidates of a toy generator that lies outside, and traps."""
    outside = pictures.parent / "outside"
    outside.mkdir()
    shutil.copyfile(pictures / "00.png", outside / "secret.png")
    (pictures / "link.png").symlink_to(outside / "secret.png")
    (pictures / "linked").symlink_to(outside)
    (pictures / ".hidden").mkdir()
    shutil.copyfile(pictures / "00.png", pictures / ".hidden" / "hidden.png")
    save_samples(str(models["generator"]), 2, pictures / "samples", machine=settle("cpu", "float32"))
    return pictures


@pytest.fixture
def client(folder: Path, tmp_path: Path) -> Iterator[httpx.Client]:
    with studio(folder, tmp_path / "cache") as client:
        yield client


def ids(client: httpx.Client) -> dict[str, str]:
    told = client.get("/api/pictures").json()
    return dict(zip(told["names"], told["ids"], strict=True))


def ended(client: httpx.Client) -> dict[str, str]:
    """The newest job, once it is over."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        newest: dict[str, str] = client.get("/api/jobs").json()[0]
        if newest["state"] not in ("waiting", "running"):
            return newest
    raise AssertionError("the job does not end")


def test_only_what_lies_in_the_folder_is_there(client: httpx.Client, folder: Path) -> None:
    names = set(ids(client))
    samples = {"samples/contact-sheet.png", "samples/pictures/00000.png", "samples/pictures/00001.png"}
    assert names == {f"{number:02d}.png" for number in range(12)} | samples
    unknown = "/picture/256/" + "0" * 64
    for path in ("/picture/256/..%2f..%2fetc%2fpasswd", "/zoom/..%2f/0/0_0.jpg", "/static/..%2fapp.py", unknown):
        assert client.get(path).status_code in (404, 422), path


def test_a_changed_file_is_another_picture(client: httpx.Client, folder: Path) -> None:
    before = ids(client)["00.png"]
    small = client.get(f"/picture/256/{before}")
    assert small.headers["content-type"] == "image/jpeg"
    assert "immutable" in small.headers["cache-control"]
    pixels.write(folder / "00.png", torch.zeros(3, 40, 40), overwrite=True)
    after = ids(client)["00.png"]
    assert after != before
    assert client.get(f"/picture/256/{before}").status_code == 404
    assert client.get(f"/picture/256/{after}").content != small.content


def test_small_pictures_outlive_the_server(client: httpx.Client, folder: Path, tmp_path: Path) -> None:
    thing = ids(client)["03.png"]
    small = client.get(f"/picture/256/{thing}").content
    kept = tmp_path / "cache" / "small" / "256" / thing[:2] / f"{thing}.jpg"
    assert kept.read_bytes() == small


def test_a_bomb_is_refused(client: httpx.Client, folder: Path) -> None:
    import pyvips

    pyvips.Image.black(60_000, 60_000).write_to_file(str(folder / "bomb.png"))  # 3.6 gigapixels in 400 kB
    thing = ids(client)["bomb.png"]
    assert client.get(f"/picture/256/{thing}").status_code == 410
    assert client.get(f"/api/zoom/{thing}").status_code == 404


def test_a_recipe_that_reaches_out_is_refused(client: httpx.Client) -> None:
    # The toy model lies outside the opened folder: the recipe's ../../.. must not be followed.
    thing = ids(client)["samples/pictures/00000.png"]
    for kind in ("again", "like"):
        answer = client.post("/api/jobs", json={"kind": kind, "picture": thing})
        assert answer.status_code == 409
        assert "not in the opened folder" in answer.json()["detail"]
    assert client.get(f"/api/before/{thing}").status_code == 409
    without = client.post("/api/jobs", json={"kind": "again", "picture": ids(client)["00.png"]})
    assert without.status_code == 409
    assert "no recipe" in without.json()["detail"]


def test_others_like_it_carry_recipes_that_make_them_again(
    folder: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copyfile(models["generator"], folder / "toy.safetensors")
    save_samples(str(folder / "toy.safetensors"), 1, folder / "own", machine=settle("cpu", "float32"))
    with studio(folder, tmp_path / "cache") as client:
        thing = ids(client)["own/pictures/00000.png"]
        client.post("/api/jobs", json={"kind": "like", "picture": thing})
        assert ended(client)["state"] == "done"
        made = ids(client)["made/00000-like-1.png"]
        client.post("/api/jobs", json={"kind": "again", "picture": made})
        assert ended(client)["trouble"] == ""
    names = "00000-like-1.png", "00000-like-1-again-1.png"
    first, again = (pixels.read(folder / "made" / name).pixels for name in names)
    assert torch.equal(first, again)
    begin = pixels.read(folder / "own" / "pictures" / "00000.png").pixels
    others = [pixels.read(folder / "made" / f"00000-like-{number}.png").pixels for number in range(1, 13)]
    assert all(float((other - begin).abs().mean()) > 1e-3 for other in others)


def test_before_is_the_picture_or_what_the_generator_made_unless_it_is_another_now(
    folder: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    machine = settle("cpu", "float32")
    for name in ("generator", "detail"):
        shutil.copyfile(models[name], folder / f"{name}.safetensors")
    save_samples(str(folder / "generator.safetensors"), 1, folder / "own", machine=machine)
    made, detail = folder / "own" / "pictures" / "00000.png", (str(folder / "detail.safetensors"),)
    enlarge(folder / "00.png", folder / "photo-large.png", to_px=144, models=detail, machine=machine)
    with studio(folder, tmp_path / "cache") as client:
        facts = client.get(f"/api/pictures/{ids(client)['photo-large.png']}").json()
        assert (facts["before"], facts["width"]) == (True, 144)
        before = client.get(f"/api/before/{ids(client)['photo-large.png']}").content
        seen = torch.from_numpy(cv2.imdecode(np.frombuffer(before, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1].copy())
        truth = pixels.read(folder / "00.png").pixels.permute(1, 2, 0)
        assert float((seen / 127.5 - 1 - truth).abs().mean()) < 0.02
        shown = client.get(f"/api/before/{ids(client)['own/pictures/00000.png']}").content
        seen = torch.from_numpy(cv2.imdecode(np.frombuffer(shown, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1].copy())
        truth = pixels.read(made).pixels.permute(1, 2, 0)
        assert float((seen / 127.5 - 1 - truth).abs().mean()) < 0.1  # JPEG of noise
        shutil.copyfile(folder / "01.png", folder / "00.png")  # others in their places
        shutil.copyfile(builtin_models()["portrait-128"], folder / "generator.safetensors")
        assert client.get(f"/api/before/{ids(client)['photo-large.png']}").status_code == 404
        answer = client.get(f"/api/before/{ids(client)['own/pictures/00000.png']}")
        assert answer.status_code == 409 and "another one" in answer.json()["detail"]
        client.post("/api/jobs", json={"kind": "like", "picture": ids(client)["own/pictures/00000.png"]})
        job = ended(client)
        assert job["state"] == "failed" and "another one" in job["trouble"]


def test_jobs_run_one_after_the_other_and_end_when_cancelled() -> None:
    jobs, begun, go_on = Jobs(), threading.Event(), threading.Event()

    def long(watch: object) -> list[Path]:
        begun.set()
        go_on.wait()
        watch("working", 1, 2)  # type: ignore[operator]  # a Watch
        raise AssertionError("went on after it was cancelled")

    first = jobs.add("long", long)
    second = jobs.add("short", lambda watch: [Path("made.png")])
    begun.wait()
    assert [job["state"] for job in jobs.told()] == ["waiting", "running"]
    assert jobs.cancel(first.id)
    assert not jobs.cancel(99)
    go_on.set()
    third = jobs.add("bad", lambda watch: [Path("missing").read_text() and Path()])  # an error nobody foresaw
    jobs._pool.submit(int).result()  # the queue is empty
    assert (first.state, second.state, second.made, third.state) == ("cancelled", "done", ["made.png"], "failed")
    jobs.close()


class Linear:
    """A generator of known slope: three numbers that move the picture by 3, 1 and nothing."""

    latent_dim, size_px = 12, 16

    def __init__(self) -> None:
        random = torch.Generator().manual_seed(5)
        self.directions = torch.linalg.qr(torch.randn(12, 12, generator=random)).Q[:2]
        self.patterns = torch.linalg.qr(torch.randn(768, 2, generator=random)).Q.T * torch.tensor([[3.0], [1.0]])

    def generate(self, latents: torch.Tensor) -> torch.Tensor:
        return (0.2 + latents @ self.directions.T @ self.patterns).reshape(-1, 3, 16, 16)


def test_directions_are_the_ones_that_change_pictures_most() -> None:
    known = Linear()
    found = principal_directions(known, 2)
    torch.testing.assert_close((found @ known.directions.T).abs(), torch.eye(2), atol=1e-3, rtol=0)


def test_other_sites_cannot_order(client: httpx.Client) -> None:
    body = {"kind": "larger", "picture": ids(client)["00.png"]}
    assert client.post("/api/jobs", json=body, headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.get("/api/jobs").json() == []
    assert "default-src 'self'" in client.get("/").headers["content-security-policy"]


def test_answers_keep_to_their_description(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    draw_pictures(folder, 1, 40)
    with Catalog(folder / "catalog.db", create=True) as catalog:
        scan(catalog, [folder], threads=1)
    tried = set()
    with studio(folder, tmp_path / "cache") as client:
        known = {
            "catalog_id": client.get("/api/catalogs").json()[0]["id"],
            "picture_id": ids(client)["00.png"],
            "content_id": hashlib.sha256((folder / "00.png").read_bytes()).hexdigest(),
        }
        schema = schemathesis.openapi.from_url(str(client.base_url.join("/openapi.json")))
        for found in schema.get_all_operations():
            operation = found.ok()
            tried.add(operation.path)

            @given(case=operation.as_strategy(), really=strategies.booleans())
            @settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
            def answers(case: schemathesis.Case, really: bool) -> None:
                if really:  # things that are there, or hardly anything but 404 would be seen
                    case.path_parameters |= {name: known[name] for name in case.path_parameters if name in known}
                case.call_and_validate()

            answers()
    assert {"/api/pictures", "/api/jobs", "/api/keep", "/api/zoom/{picture_id}", "/api/generators"} <= tried
    assert {"/api/tournament/said", "/api/catalogs/{catalog_id}/flags/{flag}"} <= tried
    assert sorted(path.name for path in folder.iterdir()) == ["00.png", "catalog.db"]
