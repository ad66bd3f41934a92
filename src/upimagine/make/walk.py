"""Noise to print: sample, choose, guide, enlarge, print, as a recipe says."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from upimagine import pixels
from upimagine.choose.cull import cull
from upimagine.errors import UpimagineError
from upimagine.make.machine import settle
from upimagine.make.picture import Enlarged, finish
from upimagine.make.sampling import make_one, sample, write_sheet
from upimagine.make.stages import Machine, Sized, Watch, render_settings
from upimagine.models.loaded import load_generator, load_upscaler
from upimagine.recipe import Choose, Enlarge, Origin, Print, Recipe, Sample, read_recipe, write_recipe

SHEET, RECIPE, PRINT = "contact-sheet.png", "recipe.toml", "print.tif"


@dataclass(frozen=True)
class Made:
    """What a walk left in its folder."""

    folder: Path
    sampled: int
    with_face: int | None  # sampled pictures with a face; None when none was looked for
    chosen: tuple[int, ...]  # numbers of the chosen candidates, best first
    portraits: tuple[Path, ...]
    print: Path | None
    enlarged: tuple[Enlarged, ...]
    rendering_s: float  # from the first chosen picture to the last written file

    @property
    def outside_share(self) -> float:
        """Share of `rendering_s` in which no network ran: guide, planes, choosing, blending, encoding; 0 to 1."""
        network_s = sum(report.network_s for done in self.enlarged for report in done.reports)
        return 1 - network_s / max(self.rendering_s, 1e-9)


def find_recipe(name: str | Path) -> Recipe:
    """A built-in recipe by name, or a TOML file. Raises UpimagineError for neither."""
    built_in = files("upimagine") / "recipes"
    if Path(name).suffix != ".toml":
        known = sorted(Path(str(entry)).stem for entry in built_in.iterdir() if str(entry).endswith(".toml"))
        if str(name) not in known:
            raise UpimagineError(
                f"there is no recipe {str(name)!r}; built in: {', '.join(known)} (or give a .toml file)"
            )
        return read_recipe(Path(str(built_in / f"{name}.toml")))
    return read_recipe(Path(name))


def make(
    recipe: str | Path | Recipe,
    out: str | Path,
    *,
    seed: int | None = None,
    overwrite: bool = False,
    machine: Machine | None = None,
    watch: Watch = lambda what, done, total: None,
) -> Made:
    """Walk from noise to the print and leave everything in the folder `out`.

    It will hold the contact sheet, the chosen pictures enlarged, the print and `recipe.toml`. Raises UpimagineError
    for a recipe that does not begin with a sample and a choice, and for outputs that exist.
    """
    recipe = recipe if isinstance(recipe, Recipe) else find_recipe(recipe)
    if seed is not None:
        if seed < 0:
            raise UpimagineError(f"a seed of {seed} cannot work; choose 0 or more")
        recipe = recipe.model_copy(update={"seed": seed})
    _, choice, enlargements, last, _ = _parts(recipe)
    prints = last is not None or recipe.stage[-1].kind == "print"
    folder, machine = Path(out), machine or settle()
    targets = [folder / f"portrait-{place + 1}.png" for place in range(choice.keep)]
    outputs = [folder / SHEET, folder / RECIPE, *targets, *([folder / PRINT] if prints else [])]
    for path in outputs:
        pixels.claim(path, overwrite)
    new = [path for path in outputs if not path.exists()]
    for stage in (*enlargements, *([last] if last else [])):  # what is wrong is better known now than in five minutes
        render_settings(stage, load_upscaler(stage.model, machine.device, machine.dtype).window_px)
    try:
        return _walk(recipe, folder, targets, overwrite, machine, watch)
    except BaseException:
        for path in new:  # half a walk would only stand in the way of the next one
            path.unlink(missing_ok=True)
        raise


def _walk(recipe: Recipe, folder: Path, targets: list[Path], overwrite: bool, machine: Machine, watch: Watch) -> Made:
    """The walk itself, once everything was seen to be in order."""
    source, choice, enlargements, last, printing = _parts(recipe)
    prints = last is not None or recipe.stage[-1].kind == "print"
    candidates = sample(source.model, source.count, seed=recipe.seed, weights=choice, machine=machine, watch=watch)
    chosen = cull(candidates.pictures, candidates.total, choice.keep, share=choice.best_share)
    write_sheet(folder / SHEET, candidates, chosen, overwrite)

    generator = load_generator(source.model, machine.device, machine.dtype)
    origins = [
        Origin(
            model=source.model,
            model_sha256=generator.file.sha256,
            latent=tuple(candidates.latents[index].tolist()),
        )
        for index in chosen
    ]
    started = time.perf_counter()
    small = [make_one(generator, candidates.latents[index]) for index in chosen]
    print_path = None
    with ThreadPoolExecutor(1) as encoder:  # one picture is encoded while the next one is made
        enlarged = [
            finish(
                picture, _unsized(enlargements), target, origin, machine,
                printing=Print(dpi=printing.dpi), overwrite=overwrite, watch=watch, encoder=encoder,
            )
            for picture, target, origin in zip(small, targets, origins, strict=True)
        ]  # fmt: skip
        if prints:
            stages = _unsized([*enlargements, *([last] if last else [])])
            done = finish(
                small[0], stages, folder / PRINT, origins[0], machine,
                printing=printing, overwrite=overwrite, watch=watch,
            )  # fmt: skip
            enlarged.append(done)
            print_path = done.path
        for picture_file in enlarged:
            if picture_file.written is not None:
                picture_file.written.result()
    rendering_s = time.perf_counter() - started
    pixels.write_text(folder / RECIPE, write_recipe(recipe), overwrite)
    return Made(
        folder,
        source.count,
        candidates.faces,
        tuple(chosen),
        tuple(targets),
        print_path,
        tuple(enlarged),
        rendering_s,
    )


def _parts(recipe: Recipe) -> tuple[Sample, Choose, list[Enlarge], Enlarge | None, Print]:
    """The recipe's stages by role: source, choice, enlargements of all, enlargement of the best, print."""
    kinds = [stage.kind for stage in recipe.stage]
    middle = kinds[2:-1] if kinds[-1:] == ["print"] else kinds[2:]
    if kinds[:2] != ["sample", "choose"] or not middle or set(middle) != {"enlarge"}:
        raise UpimagineError(
            f"recipe {recipe.name!r} has the stages {', '.join(kinds)}; needed are sample, choose, enlarge…, print"
        )
    source, choice = recipe.stage[0], recipe.stage[1]
    assert isinstance(source, Sample)
    assert isinstance(choice, Choose)
    every = [stage for stage in recipe.stage if isinstance(stage, Enlarge) and not stage.best_only]
    best = [stage for stage in recipe.stage if isinstance(stage, Enlarge) and stage.best_only]
    if not every or [*every, *best] != list(recipe.stage[2 : 2 + len(middle)]) or len(best) > 1:
        raise UpimagineError(
            f"recipe {recipe.name!r} needs an enlarge stage for all, and behind these at most one with best_only"
        )
    if choice.keep > source.count:
        raise UpimagineError(f"recipe {recipe.name!r} keeps {choice.keep} of {source.count}; sample more or keep fewer")
    printing = recipe.stage[-1] if isinstance(recipe.stage[-1], Print) else Print()
    return source, choice, every, best[0] if best else None, printing


def _unsized(stages: Sequence[Enlarge]) -> list[Sized]:
    return [(stage, None) for stage in stages]
