"""Toy models and pictures, made anew for each test run."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch

from upimagine import pixels
from upimagine.models.file import save_model
from upimagine.nets.dcgan import DcganDiscriminator, DcganGenerator, calibrate_batch_norm
from upimagine.nets.jnet import JNet, JNetDiscriminator

DATA = Path(__file__).parent / "data"


def pytest_configure() -> None:
    """A shell that runs the tests in the background ignores Ctrl-C for them, and programs that tests interrupt would
    inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """The same numbers on every machine, and no quarrel between test workers."""
    torch.set_num_threads(1)


@pytest.fixture
def face() -> Path:
    """A small portrait in which a face is found."""
    return DATA / "face.jpg"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Untrained models of toy width: generator, portrait (with guide), detail (without)."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(7)
    generator, judge = DcganGenerator(64, width=4), DcganDiscriminator(64, width=4)
    calibrate_batch_norm(generator, [torch.randn(64, 100)])  # without it every latent gives the same grey
    paths = {name: folder / f"{name}.safetensors" for name in ("generator", "portrait", "detail")}
    save_model(paths["generator"], "generator", generator, judge, {"data": "none"})
    for name, guide in (("portrait", 3), ("detail", 0)):
        net = JNet(guide, width=1 / 16, consistency="residual")
        torch.nn.init.normal_(net.out.weight, 0.0, 0.05)  # so that it invents something
        save_model(paths[name], "upscaler", net, JNetDiscriminator(3 + guide, width=4), {"data": "none"})
    return paths


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of twelve 72 px pictures: discs of different places and colours."""
    return draw_pictures(tmp_path / "pictures", count=12, size_px=72)


def draw_pictures(folder: Path, count: int, size_px: int) -> Path:
    """Write PNG files of a coloured disc each into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    random = torch.Generator().manual_seed(3)
    y, x = torch.meshgrid(torch.linspace(-1, 1, size_px), torch.linspace(-1, 1, size_px), indexing="ij")
    for index in range(count):
        centre, colour, ground = (torch.rand(n, generator=random) * 2 - 1 for n in (2, 3, 3))
        inside = ((y - centre[0] * 0.5) ** 2 + (x - centre[1] * 0.5) ** 2 < 0.2).float()
        pixels.write(folder / f"{index:02d}.png", inside * colour[:, None, None] + (1 - inside) * ground[:, None, None])
    return folder
