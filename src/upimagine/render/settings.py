"""The knobs of one enlargement, and what it reports."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, get_args

from upimagine.errors import UpimagineError
from upimagine.render.candidates import Variant, best_of, variants
from upimagine.render.joined import Blend
from upimagine.render.plan import TilePlan
from upimagine.render.seams import Seams
from upimagine.render.windows import Ramp


@dataclass(frozen=True)
class Settings:
    """How to cut, invent, choose and blend. Raises UpimagineError on values that cannot work."""

    stride_px: int = 24
    """Low-res pixels from one tile to the next, 1 to the network's window."""
    blend: Blend = "cut"
    """How tiles become one picture: a ramp over each overlap, a minimum-error cut, or that cut in several bands."""
    feather_px: int | None = 32
    """Width in output pixels of the ramp between two feathered tiles; None takes the whole overlap, 0 is a hard cut."""
    ramp: Ramp = "cosine"
    """Shape of that ramp."""
    flips: bool = True
    """Also show each tile mirrored."""
    contrasts: tuple[float, ...] = (1.0,)
    """Also show each tile with these contrasts."""
    saturations: tuple[float, ...] = (1.0,)
    """Also show each tile with these saturations."""
    noise_seeds: tuple[int, ...] = ()
    """Also show each tile with grain of these seeds."""
    noise: float = 0.03
    """Deviation of that grain, pixels being in [-1, 1]."""
    best_of: int | None = None
    """So many candidates in all, in place of what the five settings above ask for."""
    realism: float = 1.0
    """Weight of the critic's score, in deviations within the candidates of a tile."""
    sharpness: float = 1.0
    """Weight of the variance of the Laplacian."""
    contrast: float = 0.0
    """Weight of the deviation of luma."""
    judged: float = 1.0
    """Weight of the score of one's own judge, where there is one."""
    veto_db: float = 3.0
    """Candidates this much less faithful to the low-res tile than the best one never win."""
    floor_db: float | None = None
    """Candidates less faithful than this never win, unless none is better."""
    agreement: float = 50.0
    """Worth of agreeing with neighbours: cost of a mean squared difference of 1 in the overlap; 0 ignores them."""
    tone_match: int = 3
    """Iterations that hold each tile's area average to the low-res plane; 0 is off."""
    wrap: bool = False
    """The picture repeats: its right edge goes on at its left, its bottom at its top (textures)."""
    border_px: int = 0
    """Low-res pixels by which the plane goes on beyond its edges, mirrored, before tiles are cut: what networks make of
    the end of their own sight is cut off there. At most half of what tiles overlap."""
    shift_px: int = 0
    """How much further the grid lies than it would, in low-res pixels."""
    batch_tiles: int = 8
    """Most tiles (each variant counts) in one call of the network."""

    def candidates(self, models: int = 1) -> tuple[Variant, ...]:
        """What each tile is shown as, to that many networks."""
        if self.best_of is not None:
            return best_of(self.best_of, models)
        return variants(self.flips, self.contrasts, self.saturations, self.noise_seeds, models)

    def __post_init__(self) -> None:
        def need(fine: bool, name: str, mend: str) -> None:
            if not fine:
                raise UpimagineError(f"{name} of {getattr(self, name)!r} cannot work: choose {mend}")

        need(self.stride_px >= 1, "stride_px", "1 or more")
        need(self.feather_px is None or self.feather_px >= 0, "feather_px", "0 or more, or leave it out")
        need(self.blend in get_args(Blend), "blend", " or ".join(get_args(Blend)))
        need(self.ramp in get_args(Ramp), "ramp", " or ".join(get_args(Ramp)))
        for name in ("realism", "sharpness", "contrast", "judged", "noise", "veto_db", "agreement"):
            need(0 <= getattr(self, name) < math.inf, name, "0 or more")
        need(self.floor_db is None or math.isfinite(self.floor_db), "floor_db", "a number of dB, or leave it out")
        need(self.best_of is None or self.best_of >= 1, "best_of", "1 or more, or leave it out")
        need(self.border_px >= 0, "border_px", "0 or more")
        need(self.shift_px >= 0, "shift_px", "0 or more")
        need(self.tone_match >= 0, "tone_match", "0 or more")
        need(self.batch_tiles >= 1, "batch_tiles", "1 or more")


@dataclass(frozen=True)
class Report:
    """What an enlargement did."""

    plan: TilePlan
    variants: tuple[Variant, ...]
    winners: tuple[tuple[int, ...], ...]
    """Index into ``variants`` for each tile, row after row."""
    tiles: int
    """Tiles in the plan; the network ran tiles × variants of them."""
    batch_tiles: int
    """Most tiles in one call at the end: below the setting when memory ran out on the way."""
    network_s: float
    """Time inside upscaler and critic."""
    sink_s: float
    """Time inside the sink: converting, compressing and writing finished rows."""
    total_s: float
    """Time of the whole enlargement."""

    seams: Seams
    """How visible the grid of tiles is."""

    @property
    def outside_share(self) -> float:
        """Share of the time spent outside the networks, 0 to 1."""
        return 1.0 - self.network_s / self.total_s if self.total_s > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The report as plain numbers and lists, for JSON."""
        return {**dataclasses.asdict(self), "outside_share": self.outside_share}
