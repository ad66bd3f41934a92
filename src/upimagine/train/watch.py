"""The watch: names what goes wrong in a run, with its likely cause and the remedy.

It knows nothing but the lines of the log, so that a resumed run's watch is as it was, and says the same again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from upimagine.train import signs
from upimagine.train.augment import POLICIES
from upimagine.train.journal import Line
from upimagine.train.objectives import DIVIDING, KINDS
from upimagine.train.signs import Seen
from upimagine.train.trace import Trace

STOPPED = "stopped"  # the event that a run writes which meets gradients that are no numbers


@dataclass(frozen=True)
class Finding:
    """Something amiss."""

    name: str
    seen: str
    """What is seen, with numbers."""
    cause: str
    """What it most likely comes from."""
    remedy: str
    """What to do about it, with the flags that this task has."""
    side: str | None
    """The phase whose learning rate a rollback lowers; None: all."""
    since_kimg: float
    until_kimg: float | None = None
    """When it was over; None while it lasts."""

    def __str__(self) -> str:
        """One line."""
        return f"{self.name}: {self.seen}. Likely cause: {self.cause}. Remedy: {self.remedy}."


@dataclass(frozen=True)
class Facts:
    """What the watch must know of a run beside its numbers."""

    phases: tuple[str, ...]
    settings: Mapping[str, Any]
    """Of loop and task together."""


@dataclass(frozen=True)
class _Rule:
    name: str
    cause: str
    remedy: str
    side: str | None
    sign: Callable[[Trace, float | None], Seen | None]


class Watch:
    """Goes through the lines of a log, one after the other."""

    def __init__(self, facts: Facts) -> None:
        self._rules = _rules(facts)
        self._phases = facts.phases
        self._trace = Trace()
        self._active: dict[str, Finding] = {}
        self._past: list[Finding] = []

    @property
    def active(self) -> list[Finding]:
        """What is amiss now."""
        return list(self._active.values())

    @property
    def past(self) -> list[Finding]:
        """What was amiss and is over, oldest first."""
        return list(self._past)

    def see(self, line: Line) -> list[Finding]:
        """Take in a line; gives back what is newly found."""
        if "event" in line:
            return self._stopped(line) if line["event"] == STOPPED else []
        self._trace.add(line)
        new = []
        for rule in self._rules:
            before = self._active.get(rule.name)
            seen = rule.sign(self._trace, None if before is None else before.since_kimg)
            if seen is not None:
                found = Finding(rule.name, seen.text, rule.cause, rule.remedy, rule.side, seen.since_kimg)
                self._active[rule.name] = found
                if before is None:
                    new.append(found)
            elif before is not None:
                self._past.append(replace(self._active.pop(rule.name), until_kimg=self._trace.kimg))
        return new

    def replay(self, lines: Iterable[Line]) -> None:
        """Take in what was written before."""
        for line in lines:
            self.see(line)

    def amiss_at(self, kimg: float) -> bool:
        """Whether something was, or is, amiss at that place."""
        return any(
            found.since_kimg <= kimg and (found.until_kimg is None or kimg < found.until_kimg)
            for found in (*self._past, *self._active.values())
        )

    def proves(self, kimg: float) -> bool:
        """Whether that place is known to be sound: nothing amiss there, and enough seen since to be sure of it."""
        enough = self._trace.ticks_after(kimg) >= signs.LONGEST
        return not self.amiss_at(kimg) and (enough or any(found.since_kimg > kimg for found in self._active.values()))

    def _stopped(self, line: Line) -> list[Finding]:
        """A run that met gradients that are no numbers says so itself, since it has no tick any more."""
        phase = str(line.get("phase", ""))
        rule = next(rule for rule in self._rules if rule.sign is signs.not_a_number)
        found = Finding(
            rule.name,
            f"the {phase}'s gradients were no longer numbers, and training stopped",
            rule.cause,
            rule.remedy,
            phase if phase in self._phases else None,
            float(line["kimg"]),
        )
        self._active[rule.name] = found
        return [found]


def _rules(facts: Facts) -> list[_Rule]:
    settings = facts.settings
    guessing, pictures = signs.guessing_loss(settings), settings.get("pictures")
    calmer = _another_run(settings, "gamma", "ada", "augment", "gan_weight")
    varied = _another_run(settings, "anchor_weight", "coarse_weight", "augment")
    rules = [
        _Rule(
            "not a number",
            "too high a learning rate, or a number format with too small a range",
            f"{_rollback(None)}, or --precision float32",
            None,
            signs.not_a_number,
        ),
        *(_diverging(phase, guessing) for phase in facts.phases),
        *(_dead(phase, "discriminator" if "discriminator" in facts.phases else None) for phase in facts.phases),
        _Rule(
            "copies of training pictures",
            "too few pictures for so long a training",
            f"take an earlier checkpoint's model, more pictures, or {_rollback('discriminator')}{calmer}",
            "discriminator",
            signs.copies,
        ),
        _Rule(
            "few different pictures",
            "the generator has collapsed to what fools the discriminator best",
            f"{_rollback('generator')}{varied}",
            "generator",
            signs.twins,
        ),
        _Rule(
            "sameness",
            "the generator leaves out what the discriminator does not miss (partial collapse), or has yet to learn it",
            f"go on for a while if it is falling; else {_rollback('generator')}{varied}",
            "generator",
            signs.sameness,
        ),
        _Rule(
            "overfitting",
            "the discriminator knows the training pictures by heart",
            f"more pictures, or {_rollback('discriminator')}{calmer}",
            "discriminator",
            partial(signs.overfitting, pictures=pictures),
        ),
    ]
    if guessing is not None:
        strong = "it learns faster than the generator, or knows the training pictures by heart"
        weak = "it learns too slowly, or is held down too much"
        rules += [
            _Rule(
                "discriminator too strong",
                strong,
                f"{_rollback('discriminator')}{calmer}",
                "discriminator",
                partial(signs.too_strong, guessing=guessing),
            ),
            _Rule(
                "discriminator too weak",
                weak,
                f"{_rollback('generator')}{_less_held(settings)}",
                "generator",
                partial(signs.too_weak, guessing=guessing),
            ),
        ]
    return rules


def _diverging(phase: str, guessing: float | None) -> _Rule:
    cause = "too high a learning rate, or a spoiled batch of pictures"
    sign = partial(signs.diverging, phase=phase, guessing=guessing if phase == "discriminator" else None)
    return _Rule(f"{phase} diverging", cause, _rollback(phase), phase, sign)


def _dead(phase: str, rival: str | None) -> _Rule:
    cause = (
        "the discriminator is so sure that nothing comes through to it, or its units have all gone silent"
        if phase != rival
        else "there is nothing left for it to learn here, or its units have all gone silent"
    )
    sign = partial(signs.dead_gradients, phase=phase)
    return _Rule(f"{phase} gets no gradient", cause, _rollback(rival), rival, sign)


def _rollback(side: str | None) -> str:
    whose = "all learning rates" if side is None else f"the {side}'s learning rate"
    return f"--rollback (back to the last healthy checkpoint, with {whose} halved)"


def _another_run(settings: Mapping[str, Any], *names: str) -> str:
    """Flags that would help but make another run, of those that the task has."""
    ways: dict[str, Callable[[Any], str]] = {
        "gamma": _more_r1,
        "ada": lambda on: "" if on else "--ada",
        "augment": _all_policies,
        "gan_weight": _half,
        "anchor_weight": _anchored,
        "coarse_weight": _coarser,
    }
    kind = KINDS.get(settings.get("objective", "non-saturating"))
    usable = [name for name in names if name in settings and not (name == "gamma" and kind and kind.r1)]
    if "ada" in usable and settings.get("objective", "hinge") not in DIVIDING:
        usable.remove("ada")
    if "ada" in usable:
        usable.remove("augment")  # in whose place it comes
    flags = [way for name in usable if (way := ways[name](settings[name]))]
    if not flags or "init_from" not in settings:
        return ""
    return f"; or another run that begins with this model: --init-from model.safetensors {' '.join(flags)}"


def _less_held(settings: Mapping[str, Any]) -> str:
    gamma = settings.get("gamma")
    return f"; or another run with --gamma {gamma / 4:g}" if gamma else ""


def _more_r1(gamma: float | None) -> str:
    return f"--gamma {4 * gamma:g}" if gamma else "--gamma 10"  # 10: Mescheder et al. (1801.04406)


def _all_policies(policy: Iterable[str]) -> str:
    return "" if set(policy) >= set(POLICIES) else f"--augment {' '.join(POLICIES)}"


def _half(weight: float) -> str:
    return f"--gan-weight {weight / 2:g}" if weight > 0 else ""


def _coarser(weight: float) -> str:
    return f"--coarse-weight {2 * weight if weight > 0 else 20:g}"


def _anchored(weight: float) -> str:
    return f"--anchor-weight {2 * weight if weight > 0 else 60:g}"
