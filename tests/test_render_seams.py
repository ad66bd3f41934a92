import pytest
import torch
import torch.nn.functional as F

from upimagine.render.bands import Bands
from upimagine.render.plan import plan_tiles
from upimagine.render.seams import Seams, measure_seams, seam_lines
from upimagine.render.sinks import MemorySink

PLAN = plan_tiles(80, 104, 32, 24)
SCALE = 8


def noise(seed: int, height: int, width: int, grain_px: int = 1) -> torch.Tensor:
    shape = (1, 1, -(-height // grain_px), -(-width // grain_px))
    rough = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.2
    grains = F.interpolate(rough, scale_factor=grain_px, mode="bilinear") if grain_px > 1 else rough
    return grains[0, :, :height, :width].expand(3, -1, -1).clamp(-1, 1)


def blended(feather_px: int | None, grain_px: int, tint: float = 0.0, same: bool = False) -> torch.Tensor:
    """A picture of tiles that invented unrelated textures, every second one tinted; or all cut from one texture."""
    sink = MemorySink()
    bands = Bands(PLAN, SCALE, sink, feather_px=feather_px)
    side = PLAN.window_px * SCALE
    whole = noise(99, PLAN.height_px * SCALE, PLAN.width_px * SCALE, grain_px)
    for row in range(PLAN.rows):
        tiles = {}
        for col in range(PLAN.cols):
            tile = PLAN.tile(row, col)
            y, x = tile.y0_px * SCALE, tile.x0_px * SCALE
            own = noise(row * 100 + col, side, side, grain_px)
            tiles[col] = (whole[:, y : y + side, x : x + side] if same else own) + tint * ((row + col) % 2)
        bands.add_row(row, tiles)
    return sink.picture()[0]


def test_seam_lines_lie_in_the_middle_of_overlaps() -> None:
    assert seam_lines((0, 24, 30), 32, 8) == [(24 + 4) * 8, (30 + 13) * 8]


@pytest.mark.parametrize(("grain_px", "chance"), [(1, 0.05), (6, 0.15)])  # coarse grains: few independent samples
def test_a_seamless_texture_reads_ideal(grain_px: int, chance: float) -> None:
    seams = measure_seams(blended(32, grain_px, same=True), PLAN, SCALE)
    assert seams.ratio == pytest.approx(1.0, abs=chance)
    assert seams.contrast_dip == pytest.approx(1.0, abs=chance)
    assert seams.tone_step == pytest.approx(0.0, abs=1.5)


def test_a_hard_cut_between_textures_shows_in_the_ratio() -> None:
    seams = measure_seams(blended(0, 6), PLAN, SCALE)
    assert seams.ratio > 2


def test_wide_averaging_shows_in_the_contrast() -> None:
    assert measure_seams(blended(None, 1), PLAN, SCALE).contrast_dip == pytest.approx(0.71, abs=0.06)
    assert measure_seams(blended(2, 1), PLAN, SCALE).contrast_dip > 0.9


def test_a_tint_shows_in_the_tone_step() -> None:
    seams = measure_seams(blended(16, 1, tint=20 / 127.5, same=True), PLAN, SCALE)
    assert seams.tone_step == pytest.approx(17.5, abs=3)  # 20 levels, less the ramp within the compared blocks


def test_one_tile_has_no_seam_and_a_flat_picture_is_ideal() -> None:
    ideal = Seams(ratio=1.0, contrast_dip=1.0, tone_step=0.0)
    assert measure_seams(noise(1, 64, 64), plan_tiles(32, 32, 32, 24), 2) == ideal
    flat = torch.zeros(3, PLAN.height_px * SCALE, PLAN.width_px * SCALE)
    assert measure_seams(flat, PLAN, SCALE) == ideal
