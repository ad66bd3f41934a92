"""All candidates of one tile row: cut, vary, run the network, bring back, hold to the tone, measure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.render.candidates import Variant
from upimagine.render.layout import Layout
from upimagine.render.network import NetworkCalls
from upimagine.render.scoring import combine, contrast, fidelity_db, sharpness
from upimagine.render.settings import Settings
from upimagine.render.tone import match_low_res, pool
from upimagine.roles import Critic, Upscaler

_MEASURES = ("realism", "judged", "sharpness", "contrast", "fidelity")
_CACHE_BYTES = 2 << 20
_BUFFER_BYTES = 96 << 20  # up to here a spare buffer is worth its memory


@dataclass(frozen=True)
class CandidateRow:
    """One tile row before the choice. ``pictures`` is written over by a later row."""

    pictures: Tensor
    """(variants, tiles, 3, tile, tile) in [-1, 1]."""
    scores: Tensor
    """(tiles, variants) float64 on the CPU; -inf for the vetoed."""


class RowMaker:
    """Makes candidate rows of what is laid out, into buffers that serve every row.

    Unless buffers are large there is a `spare` one: rows that are looked at stay as they are while another is made.
    Without it the row made next takes the place of the first of them.
    """

    def __init__(
        self,
        layout: Layout,
        upscalers: Sequence[Upscaler],
        critic: Critic | None,
        *,
        judge: Critic | None = None,
        variants: tuple[Variant, ...],
        settings: Settings,
        calls: NetworkCalls,
        rows_at_once: int = 1,
    ) -> None:
        """upscalers: of one scale and window; each variant names its own. judge: a second critic of one's own.

        rows_at_once: how many rows in succession are looked at together.
        """
        plane, reference, plan = layout.plane, layout.reference, layout.plan
        self._layout = layout
        self._plan = plan
        self._upscalers = upscalers
        self._critics = {"realism": critic, "judged": judge}
        self._variants = variants
        self._settings = settings
        self._calls = calls
        self._reference = reference
        self._finer = 1 if reference is None else reference.shape[2] // plane.shape[2]
        self._tile_px = plan.window_px * upscalers[0].scale
        seeds = {variant.noise_seed for variant in variants if variant.noise_seed is not None}
        self._grain = {seed: _grain(plane, seed) * settings.noise for seed in seeds}
        # On a CPU a few tiles at a time stay in its cache from step to step, and need no fresh memory: twice as fast.
        tile_bytes = 3 * self._tile_px**2 * 4
        self._chunk = max(1, _CACHE_BYTES // tile_bytes) if plane.device.type == "cpu" else settings.batch_tiles
        # Network outputs are copied out at once: a network may hand out the same memory at its next call.
        shape = (len(variants), plan.cols, 3, self._tile_px, self._tile_px)
        self.spare = math.prod(shape) * 4 <= _BUFFER_BYTES
        self._buffers = [torch.empty(shape, device=plane.device) for _ in range(rows_at_once + self.spare)]
        self._pictures = self._buffers[0]

    def make(self, row: int) -> CandidateRow:
        """Run the networks for one tile row.

        Raises UpimagineError when a network runs out of memory on a single tile, gives NaN or infinity, or gives
        another shape than its role promises.
        """
        self._pictures = self._buffers[row % len(self._buffers)]
        tiles = self._layout.cut(row, self._layout.plane)
        cols = self._plan.cols
        jobs = len(self._variants) * cols  # job = variant · cols + col, as the pictures lie in memory
        inputs = torch.cat([variant.apply(tiles, self._cut_grain(variant, row)) for variant in self._variants])
        wanted = tiles[:, :3] if self._reference is None else self._layout.cut(row, self._reference, self._finer)
        measures = {name: torch.zeros(jobs, device=tiles.device) for name in _MEASURES}

        def name(job: int) -> str:
            return f"tile row {row + 1}, column {job % cols + 1}"

        def store(items: slice, outputs: Tensor) -> None:
            count = items.stop - items.start
            self._check_shape(outputs, (count, 3, self._tile_px, self._tile_px))
            start = items.start
            while start < items.stop:
                # A batch may run over from one variant into the next: bring back the share of each on its own.
                index, col = divmod(start, cols)
                size = min(items.stop - start, cols - col, self._chunk)
                self._bring_back(
                    outputs[start - items.start :][:size],
                    tiles[col : col + size],
                    wanted[col : col + size],
                    slice(start, start + size),
                    variant=self._variants[index],
                    measures=measures,
                    name=name,
                )
                start += size

        for first, end, upscaler in self._shares(cols):
            self._invent(upscaler, inputs[first:end], first, store, name)
        for measure, critic in self._critics.items():
            if critic is not None and self._wants(measure):
                self._judge(critic, tiles, measures[measure], name)
        return CandidateRow(self._pictures, self._score(measures))

    def _invent(
        self,
        upscaler: Upscaler,
        inputs: Tensor,
        first: int,
        store: Callable[[slice, Tensor], None],
        name: Callable[[int], str],
    ) -> None:
        """One network's share of the jobs, which begins with job `first`."""
        self._calls.run(
            len(inputs),
            lambda items: upscaler.upscale(inputs[items]),
            lambda items, outputs: store(slice(items.start + first, items.stop + first), outputs),
            lambda job: name(job + first),
        )

    def _shares(self, cols: int) -> list[tuple[int, int, Upscaler]]:
        """Which jobs each network does: first, end, and the network."""
        models = [variant.model for variant in self._variants]
        return [
            (models.index(model) * cols, (models.index(model) + models.count(model)) * cols, self._upscalers[model])
            for model in dict.fromkeys(models)
        ]

    def _cut_grain(self, variant: Variant, row: int) -> Tensor | None:
        return None if variant.noise_seed is None else self._layout.cut(row, self._grain[variant.noise_seed])

    def _bring_back(
        self,
        outputs: Tensor,
        sources: Tensor,
        wanted: Tensor,
        jobs: slice,
        *,
        variant: Variant,
        measures: dict[str, Tensor],
        name: Callable[[int], str],
    ) -> None:
        """Outputs of one variant to finished candidates in the buffer, and their measures."""
        low = sources[:, :3]
        finished = self._pictures.flatten(0, 1)[jobs]
        outputs = variant.undo(outputs.to(finished.device, finished.dtype).contiguous(), sources)
        pooled = pool(outputs, (low.shape[2], low.shape[3]))
        _check_finite(pooled.flatten(1), "network", jobs.start, name)
        match_low_res(
            outputs, wanted, self._settings.tone_match, pooled=pooled if self._finer == 1 else None, out=finished
        )
        finished.clamp_(-1.0, 1.0)
        # Before the tone is matched, for afterwards every candidate is faithful.
        measures["fidelity"][jobs] = fidelity_db(pooled, low)
        if self._wants("sharpness"):
            measures["sharpness"][jobs] = sharpness(finished)
        if self._wants("contrast"):
            measures["contrast"][jobs] = contrast(finished)

    def _judge(self, critic: Critic, tiles: Tensor, realism: Tensor, name: Callable[[int], str]) -> None:
        """The critic's word on every candidate, beside the original low-res tile with its guide."""
        pictures = self._pictures.flatten(0, 1)
        context = tiles.repeat(len(self._variants), 1, 1, 1)

        def store(items: slice, scores: Tensor) -> None:
            count = items.stop - items.start
            if scores.shape != (count,):
                raise UpimagineError(
                    f"critic gave shape {tuple(scores.shape)} for {count} pictures: use another critic"
                )
            _check_finite(scores.unsqueeze(1), "critic", items.start, name)
            realism[items] = scores.to(realism)

        self._calls.run(len(pictures), lambda items: critic.score(pictures[items], context[items]), store, name)

    def _score(self, measures: dict[str, Tensor]) -> Tensor:
        """(tiles, variants) scores on the CPU."""
        table = {name: values.view(len(self._variants), -1).T.cpu() for name, values in measures.items()}
        terms = [(getattr(self._settings, name), table[name]) for name in _MEASURES if self._wants(name)]
        return combine(terms, table["fidelity"], self._settings.veto_db, self._settings.floor_db)

    def _wants(self, measure: str) -> bool:
        """Whether a measure takes part: there is something to choose from, and it has a weight."""
        return measure != "fidelity" and len(self._variants) > 1 and getattr(self._settings, measure) > 0

    def _check_shape(self, outputs: Tensor, shape: tuple[int, ...]) -> None:
        if outputs.shape != shape:
            raise UpimagineError(
                f"network gave shape {tuple(outputs.shape)} where its scale and window promise {shape}: "
                "correct its scale and window_px"
            )


def _grain(plane: Tensor, seed: int) -> Tensor:
    """Normal noise (1, 3, h, w) for a plane (1, C, h, w), the same on every device."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(1, 3, *plane.shape[2:], generator=random).to(plane)


def _check_finite(values: Tensor, who: str, first_job: int, name: Callable[[int], str]) -> None:
    """Raise when a row of (N, values) holds NaN or infinity, naming its tile."""
    broken = torch.nonzero(~values.isfinite().all(dim=1)).flatten()
    if len(broken):
        tile = name(first_job + int(broken[0]))
        raise UpimagineError(f"{who} gave NaN or infinity on {tile}: use float32, or another model")
