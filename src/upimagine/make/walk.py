"""Noise to print: begin, choose, guide, enlarge, print, as a recipe says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from torch import Tensor

from upimagine import __version__, pixels
from upimagine.choose.cull import cull
from upimagine.errors import UpimagineError
from upimagine.make.beginning import Beginning, begin
from upimagine.make.journal import EVERY_S
from upimagine.make.machine import settle
from upimagine.make.picture import Enlarged, finish
from upimagine.make.sampling import write_sheet
from upimagine.make.stages import Machine, Sized, Watch, render_settings
from upimagine.make.walk_journal import WalkJournal
from upimagine.models.loaded import load_upscaler
from upimagine.recipe import Begin, Choose, Enlarge, Origin, Pictures, Print, Recipe, Sample, read_recipe, write_recipe

SHEET, RECIPE, PRINT = "contact-sheet.png", "recipe.toml", "print.tif"


@dataclass(frozen=True)
class Made:
    """What a walk left in its folder."""

    folder: Path
    sampled: int  # candidates that there were to choose from
    with_face: int | None  # candidates with a face; None when none was looked for
    chosen: tuple[int, ...]  # numbers of the chosen candidates, best first
    pictures: tuple[Path, ...]  # the chosen, enlarged
    print: Path | None
    enlarged: tuple[Enlarged, ...]
    rendering_s: float  # from the first chosen picture to the last written file
    resumed: bool = False  # it went on where an earlier process had stopped
    skipped: tuple[str, ...] = ()  # pictures that could not be begun with, one line each

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
    begin_with: str | Path | None = None,
    models: Mapping[str, str] | None = None,
    seed: int | None = None,
    overwrite: bool = False,
    machine: Machine | None = None,
    watch: Watch = lambda what, done, total: None,
    save_every_s: float = EVERY_S,
) -> Made:
    """Walk from noise to the print and leave everything in the folder `out`.

    It will hold the contact sheet, the chosen pictures enlarged, the print and `recipe.toml`. `begin_with` names a
    folder of pictures to begin with in place of the recipe's own beginning; `models` tells, by name, what stands for
    models that the recipe names. If the process dies, or is interrupted after the choice, the same call goes on where
    it was at most `save_every_s` seconds before. Raises UpimagineError for a recipe that does not begin with candidates
    and a choice, for outputs that exist and for names in `models` that the recipe does not have.
    """
    recipe = recipe if isinstance(recipe, Recipe) else find_recipe(recipe)
    if seed is not None:
        if seed < 0:
            raise UpimagineError(f"a seed of {seed} cannot work; choose 0 or more")
        recipe = recipe.model_copy(update={"seed": seed})
    if begin_with is not None:
        recipe = recipe.model_copy(update={"stage": (Pictures(folder=str(begin_with)), *recipe.stage[1:])})
    if models:
        recipe = _with_models(recipe, models)
    source, choice, enlargements, last, _ = _parts(recipe)
    prints = last is not None or recipe.stage[-1].kind == "print"
    folder, machine = Path(out), machine or settle()
    beginning = begin(source, recipe.seed, folder, machine)
    kept = min(choice.keep, beginning.count) if isinstance(source, Pictures) else choice.keep
    targets = [folder / f"{recipe.results}-{place + 1}.png" for place in range(kept)]
    outputs = [folder / SHEET, *targets, *([folder / PRINT] if prints else []), folder / RECIPE]
    identities = [beginning.identity]
    for stage in (*enlargements, *([last] if last else [])):  # what is wrong is better known now than in five minutes
        upscaler = load_upscaler(stage.model, machine.device, machine.dtype)
        render_settings(stage, upscaler.window_px)
        identities.append(upscaler.file.sha256)
    with WalkJournal(folder, json.dumps([__version__, recipe.model_dump_json(), identities, str(machine)])) as journal:
        for path in outputs:
            pixels.claim(path, overwrite or journal.ours(path))
        new = [path for path in outputs if journal.ours(path) or not path.exists()]
        try:
            made = _Walk(recipe, beginning, folder, targets, overwrite, machine, watch, journal, save_every_s).run()
        except BaseException as error:
            if not isinstance(error, KeyboardInterrupt) or journal.chosen is None:
                for path in new:  # half a walk would only stand in the way of the next one
                    path.unlink(missing_ok=True)
                journal.forget()
            raise
        journal.forget()
        return made


@dataclass
class _Walk:
    """The walk itself, once everything was seen to be in order."""

    recipe: Recipe
    beginning: Beginning
    folder: Path
    targets: list[Path]
    overwrite: bool
    machine: Machine
    watch: Watch
    journal: WalkJournal
    save_every_s: float

    def run(self) -> Made:
        _, choice, enlargements, last, printing = _parts(self.recipe)
        resumed = self.journal.chosen is not None
        chosen, faces = self.journal.chosen or self._choose(choice)
        started = time.perf_counter()
        small, origins = zip(*map(self.beginning.picture, chosen), strict=True)
        print_path = None
        with ThreadPoolExecutor(1) as encoder:  # one picture is encoded while the next one is made
            enlarged: list[Enlarged] = []
            for picture, target, origin in zip(small, self.targets, origins, strict=True):
                stages = _unsized(enlargements)
                enlarged.append(self._finish(picture, stages, target, origin, Print(dpi=printing.dpi), encoder))
                for done in enlarged:  # what is in its place by now
                    if done.written is not None and done.written.done():
                        self._note(done)
            if last is not None or self.recipe.stage[-1].kind == "print":
                stages = _unsized([*enlargements, *([last] if last else [])])
                enlarged.append(self._finish(small[0], stages, self.folder / PRINT, origins[0], printing, None))
                print_path = enlarged[-1].path
            for done in enlarged:
                self._note(done)
        rendering_s = time.perf_counter() - started
        self._write(RECIPE, lambda path, over: pixels.write_text(path, write_recipe(self.recipe), over))
        return Made(
            self.folder,
            self.beginning.count,
            faces,
            tuple(chosen),
            tuple(self.targets),
            print_path,
            tuple(enlarged),
            rendering_s,
            resumed,
            self.beginning.skipped,
        )

    def _choose(self, choice: Choose) -> tuple[tuple[int, ...], int | None]:
        """Numbers of the chosen, and how many of all had a face."""
        candidates = self.beginning.candidates(choice, self.watch)
        chosen = tuple(cull(candidates.pictures, candidates.total, len(self.targets), share=choice.best_share))
        self._write(SHEET, lambda path, over: write_sheet(path, candidates, list(chosen), over))
        self.journal.choose(chosen, candidates.faces)
        return chosen, candidates.faces

    def _finish(
        self, picture: Tensor, stages: list[Sized], out: Path, origin: Origin, printing: Print, encoder: Executor | None
    ) -> Enlarged:
        """Enlarge into a file, unless an earlier process has done so."""
        if self.journal.done(out):
            return Enlarged(out, pixels.read_size(out), (), None, (), 0.0)
        overwrite = self.overwrite or self.journal.ours(out)
        self.journal.begin(out)
        return finish(
            picture, stages, out, origin, self.machine,
            printing=printing, overwrite=overwrite, watch=self.watch, encoder=encoder, save_every_s=self.save_every_s,
        )  # fmt: skip

    def _note(self, done: Enlarged) -> None:
        """Keep that a file is in its place; raises what writing it raised."""
        if done.written is not None:
            done.written.result()
        self.journal.finish(done.path)

    def _write(self, name: str, write: Callable[[Path, bool], None]) -> None:
        """Write one of the small files, in place of one that an earlier process left."""
        path = self.folder / name
        overwrite = self.overwrite or self.journal.ours(path)
        self.journal.begin(path)
        write(path, overwrite)


def _parts(recipe: Recipe) -> tuple[Begin, Choose, list[Enlarge], Enlarge | None, Print]:
    """The recipe's stages by role: beginning, choice, enlargements of all, enlargement of the best, print."""
    kinds = [stage.kind for stage in recipe.stage]
    middle = kinds[2:-1] if kinds[-1:] == ["print"] else kinds[2:]
    source, choice = (*recipe.stage[:2], None, None)[:2]
    if not isinstance(source, Begin) or not isinstance(choice, Choose) or not middle or set(middle) != {"enlarge"}:
        raise UpimagineError(
            f"recipe {recipe.name!r} has the stages {', '.join(kinds)}; needed are sample, choose, "
            "enlarge…, print (colour-fields or pictures may stand for sample)"
        )
    every = [stage for stage in recipe.stage if isinstance(stage, Enlarge) and not stage.best_only]
    best = [stage for stage in recipe.stage if isinstance(stage, Enlarge) and stage.best_only]
    if not every or [*every, *best] != list(recipe.stage[2 : 2 + len(middle)]) or len(best) > 1:
        raise UpimagineError(
            f"recipe {recipe.name!r} needs an enlarge stage for all, and behind these at most one with best_only"
        )
    if not isinstance(source, Pictures) and choice.keep > source.count:
        raise UpimagineError(f"recipe {recipe.name!r} keeps {choice.keep} of {source.count}; sample more or keep fewer")
    printing = recipe.stage[-1] if isinstance(recipe.stage[-1], Print) else Print()
    return source, choice, every, best[0] if best else None, printing


def _with_models(recipe: Recipe, models: Mapping[str, str]) -> Recipe:
    """The recipe with other models in place of those that it names."""
    named = {stage.model for stage in recipe.stage if isinstance(stage, Sample | Enlarge)}
    if unknown := sorted(set(models) - named):
        raise UpimagineError(
            f"recipe {recipe.name!r} has no model {unknown[0]!r} to replace; it names {', '.join(sorted(named))}"
        )
    stages = tuple(
        stage.model_copy(update={"model": models.get(stage.model, stage.model)})
        if isinstance(stage, Sample | Enlarge)
        else stage
        for stage in recipe.stage
    )
    return recipe.model_copy(update={"stage": stages})


def _unsized(stages: Sequence[Enlarge]) -> list[Sized]:
    return [(stage, None) for stage in stages]
