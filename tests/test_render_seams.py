from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from upimagine.render.bands import Bands
from upimagine.render.plan import plan_tiles
from upimagine.render.seam_meter import SeamMeter, measure_seams
from upimagine.render.seams import Seams, seam_lines
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
    ideal = Seams(ratio=1.0, contrast_dip=1.0, tone_step=0.0, period=1.0)
    assert measure_seams(noise(1, 64, 64), plan_tiles(32, 32, 32, 24), 2) == ideal
    flat = torch.zeros(3, PLAN.height_px * SCALE, PLAN.width_px * SCALE)
    assert measure_seams(flat, PLAN, SCALE) == ideal
    assert not ideal.visible


@pytest.mark.parametrize("heights", [(1,), (7, 30, 64), (1000,)])
def test_rows_may_come_in_strips_of_any_height_and_through_another_process(heights: tuple[int, ...]) -> None:
    picture = blended(16, 6)
    size = (picture.shape[1], picture.shape[2])
    whole, meter = measure_seams(picture, PLAN, SCALE), SeamMeter(PLAN, SCALE, size)
    row = turn = 0
    while row < size[0]:
        height = heights[turn % len(heights)]
        meter.write_rows(picture[:, row : row + height])
        row, turn = row + height, turn + 1
        saved = {name: value.clone() for name, value in meter.state().items()}
        meter = SeamMeter(PLAN, SCALE, size)
        meter.load(saved)
    seams = meter.seams()
    for name in ("ratio", "contrast_dip", "tone_step", "period"):
        assert getattr(seams, name) == pytest.approx(getattr(whole, name), rel=1e-5)


def test_a_grid_that_repeats_shows_in_the_period_and_is_called_visible() -> None:
    plan = plan_tiles(32 + 24 * 8, 32 + 24 * 8, 32, 24)
    clean = noise(7, plan.height_px * 4, plan.width_px * 4, 3)
    assert measure_seams(clean, plan, 4).period < 3
    assert not measure_seams(clean, plan, 4).visible
    gridded = clean.clone()
    for line in seam_lines(plan.col_starts_px, plan.window_px, 4):
        gridded[:, :, line:] += 0.08 * (-1) ** (line // 96)
    assert measure_seams(gridded, plan, 4).period > 3
    assert measure_seams(gridded, plan, 4).visible


def test_seams_too_close_for_a_period_have_none() -> None:
    plan = plan_tiles(5, 5, 1, 1)
    assert measure_seams(noise(3, 5, 5, 1), plan, 1).period == 1.0


def test_a_period_that_nobody_can_see_is_none() -> None:
    plan = plan_tiles(32 + 24 * 8, 32 + 24 * 8, 32, 24)
    for levels, seen in ((0.05, False), (8.0, True)):
        picture = noise(7, plan.height_px * 4, plan.width_px * 4, 3) * levels / 4000  # as flat as the lines are faint
        for line in seam_lines(plan.col_starts_px, plan.window_px, 4):
            picture[:, :, line:] += levels / 127.5 * (-1) ** (line // 96)
        assert (measure_seams(picture, plan, 4).period > 3) == seen


def test_the_measures_are_those_of_their_definitions() -> None:
    picture = blended(4, 1)
    seams = measure_seams(picture, PLAN, SCALE)
    grey = (picture[0].double() + 1) * 127.5  # the three channels are equal
    at, inside = [], []
    for oriented, starts in ((grey, PLAN.col_starts_px), (grey.T, PLAN.row_starts_px)):
        jumps = (oriented[:, 1:] - oriented[:, :-1]).abs().mean(dim=0)  # jumps[i] is across line i + 1
        lines = seam_lines(starts, PLAN.window_px, SCALE)
        at += [float(jumps[line - 1]) for line in lines]
        edges = [0, *lines, oriented.shape[1]]
        for left, right in pairwise(edges):
            quarter = (right - left) // 4
            inside += [float(jumps[line - 1]) for line in range(left + quarter + 1, right - quarter)]
    ratio = (sum(at) / len(at)) / (sum(inside) / len(inside))
    assert seams.ratio == pytest.approx(ratio, rel=1e-4)


def test_a_picture_whose_own_lines_differ_as_much_is_not_called_seamed() -> None:
    y, x = torch.meshgrid(torch.arange(PLAN.height_px * SCALE), torch.arange(PLAN.width_px * SCALE), indexing="ij")
    natural = (0.5 * torch.sin(x / 37) * torch.cos(y / 53) + 0.3 * torch.sin((x + 2 * y) / 11)).expand(3, -1, -1)
    assert not measure_seams(natural, PLAN, SCALE).visible
    cut = natural.clone()
    for line in seam_lines(PLAN.col_starts_px, PLAN.window_px, SCALE):
        cut[:, :, line:] += 0.2 * (-1) ** (line // 64)
    assert measure_seams(cut, PLAN, SCALE).visible
