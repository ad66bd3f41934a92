"""Signs of trouble: what numbers look like when training goes wrong. Pure functions of a trace of ticks.

Each says what is seen and since when, or None. `since` is when it was first seen, None while it is not: then the limit
is the stricter one, so that a sign that is on stays on until things are clearly better.

The older lists name a discriminator's loss near 0, gradient norms above 100 and a generator's loss that falls steadily
(soumith/ganhacks). Norms depend on width, objective and number format, and were 50 to 700 in healthy runs of ours, so
here everything is held against guessing or against the run's own past. Limits are ours where no source is named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from upimagine.train.trace import Trace

_SHORT, _MIDDLE, _LONG = 3, 5, 10  # ticks in a row that make a sign
_LOOKS = 2  # previews in a row
_LEAST_PAST = 8  # ticks that make a past
LONGEST = _LONG  # ticks after which every sign by ticks would have shown

#: Sum of both halves of the discriminator's loss when it can but guess; other objectives have no such point.
_GUESSING = {"minimax": 2 * math.log(2), "non-saturating": 2 * math.log(2), "least-squares": 0.25, "hinge": 2.0}

_FEW = 400  # different pictures; three pairs of twins in a preview of 48
_OF_TASK = {"fastgan": "hinge"}  # of those that know but one and do not say which; others are non-saturating

_COLLAPSE_KIMG = 10.0  # before, made pictures are alike because they are nothing yet


@dataclass(frozen=True)
class Seen:
    """What is seen, with its numbers, and since when."""

    text: str
    since_kimg: float


def guessing_loss(settings: Mapping[str, Any]) -> float | None:
    """The discriminator's loss at which it guesses, or None where the objective knows no such point."""
    return _GUESSING.get(_objective(settings))


def _objective(settings: Mapping[str, Any]) -> str:
    return str(settings.get("objective") or _OF_TASK.get(str(settings.get("task")), "non-saturating"))


def not_a_number(trace: Trace, since: float | None) -> Seen | None:
    """A plotted number is none. Gradient norms are left out: fp16's scaler tries out how far it can go."""
    broken = [name for name in trace.broken if not name.endswith("gradient_norm")]
    return Seen(f"{', '.join(broken)} no longer a number", since or trace.kimg) if broken else None


def too_strong(trace: Trace, since: float | None, guessing: float) -> Seen | None:
    """The discriminator's loss near 0 (soumith/ganhacks): under a tenth of guessing."""
    loss = trace.usual("discriminator/loss", _MIDDLE)
    if loss is None or loss >= guessing * (0.1 if since is None else 0.2):
        return None
    text = f"the discriminator's loss has fallen to {loss:.3g}, where guessing gives {guessing:.3g}"
    return Seen(text, since or trace.onset("discriminator/loss", _MIDDLE))


def too_weak(trace: Trace, since: float | None, guessing: float) -> Seen | None:
    """The discriminator guesses: neither its loss nor its scores tell real from made."""
    loss = trace.usual("discriminator/loss", _MIDDLE)
    real, fake = trace.usual("discriminator/real", _MIDDLE), trace.usual("discriminator/fake", _MIDDLE)
    if loss is None or real is None or fake is None:
        return None
    strict = since is None
    if loss < guessing * (0.97 if strict else 0.93) or real - fake > (0.1 if strict else 0.3):
        return None
    text = f"the discriminator guesses: its loss is {loss:.3g}, its scores {real:.2g} (real) and {fake:.2g} (made)"
    return Seen(text, since or trace.onset("discriminator/loss", _MIDDLE))


def overfitting(trace: Trace, since: float | None, pictures: int | None) -> Seen | None:
    """Training pictures are more real to the discriminator than others, measured on pictures held out where there are.

    r_v of ADA (2006.06676), 1 when held-out pictures are as bad as made ones; else the sign of the scores of training
    pictures, r_t, at which ADA aims at 0.6, near 1 after many rounds.
    """
    measured = trace.usual("discriminator/overfitting", _LONG)
    if measured is not None:
        if measured <= (0.5 if since is None else 0.4):
            return None
        text = f"held-out pictures have gone {measured:.0%} of the way from training pictures to made ones"
        return Seen(f"{text}, as the discriminator sees it", since or trace.onset("discriminator/overfitting", _LONG))
    sure = trace.usual("discriminator/real_sign", _LONG)
    if sure is None or not pictures or trace.kimg * 1000 < 20 * pictures:
        return None
    if sure <= (0.9 if since is None else 0.8):
        return None
    text = f"the discriminator says real to {(1 + sure) / 2:.0%} of the training pictures (r_t {sure:.2f}; 0.6 is good)"
    return Seen(text, since or trace.onset("discriminator/real_sign", _LONG))


def diverging(trace: Trace, since: float | None, phase: str, guessing: float | None) -> Seen | None:
    """Loss or gradients ten times as large as nearly ever before, several ticks in a row."""
    for name, least in ((f"{phase}/loss", max(1.0, guessing or 0.0)), (f"{phase}/gradient_norm", 0.0)):
        recent = trace.recent(name, _SHORT)
        if recent is None:
            continue
        onset = since or trace.onset(name, _SHORT)
        past = [abs(value) for value in trace.earlier(name, onset)]
        now = (min if since is None else median)([abs(value) for value in recent])
        if len(past) < _LEAST_PAST:
            continue
        high = max(quantiles(past, n=10)[-1], least)
        if now > high * (10 if since is None else 3):
            what = "loss" if name.endswith("loss") else "gradient"
            return Seen(f"the {phase}'s {what} has grown to {now:.3g}; it was under {high:.3g} nearly always", onset)
    return None


def dead_gradients(trace: Trace, since: float | None, phase: str) -> Seen | None:
    """Gradients a thousandth of what they were, or none at all, several ticks in a row."""
    name = f"{phase}/gradient_norm"
    recent = trace.recent(name, _SHORT)
    if recent is None:
        return None
    now = (max if since is None else median)(recent)
    onset = since or trace.onset(name, _SHORT)
    past = trace.earlier(name, onset)
    usual = median(past) if len(past) >= _LEAST_PAST else 0.0
    if now > max(usual * (1e-3 if since is None else 1e-2), 1e-8):
        return None
    was = f"; it was {usual:.3g}" if usual > 0 else ""
    return Seen(f"the {phase}'s gradient has shrunk to {now:.3g}{was}: it learns nothing more", onset)


def sameness(trace: Trace, since: float | None) -> Seen | None:
    """Pairs of made pictures are more alike than pairs of training pictures (1610.09585), preview after preview."""
    made, real = trace.recent("samples/similarity", _LOOKS), trace.recent("samples/training_similarity", _LOOKS)
    onset = _looks(trace, "samples/similarity", since)
    if made is None or real is None or onset is None:
        return None
    if min(m - r for m, r in zip(made, real, strict=True)) <= (0.2 if since is None else 0.15):
        return None
    return Seen(f"pairs of made pictures have an MS-SSIM of {made[-1]:.2f}, training pictures {real[-1]:.2f}", onset)


def twins(trace: Trace, since: float | None) -> Seen | None:
    """Too many of a preview's pairs are the same picture: the birthday test (1706.08224)."""
    shares = trace.recent("samples/twins", _LOOKS)
    onset = _looks(trace, "samples/twins", since)
    if shares is None or onset is None or min(shares) <= 1 / (_FEW if since is None else _FEW * 1.5):
        return None
    text = f"{shares[-1]:.2%} of the pairs of made pictures are the same picture twice"
    return Seen(f"{text}: it makes about {1 / shares[-1]:.0f} different ones in all", onset)


def copies(trace: Trace, since: float | None) -> Seen | None:
    """Made pictures that are training pictures."""
    shares = trace.recent("samples/copied", _LOOKS)
    onset = _looks(trace, "samples/copied", since)
    if shares is None or onset is None or min(shares) <= (0.1 if since is None else 0.05):
        return None
    return Seen(f"{shares[-1]:.0%} of the made pictures are training pictures, or nearly", onset)


def _looks(trace: Trace, name: str, since: float | None) -> float | None:
    """Where the oldest of the recent looks stands, None when it came too early to tell."""
    if since is not None:
        return since
    if trace.recent(name, _LOOKS) is None:
        return None
    onset = trace.onset(name, _LOOKS)
    return onset if onset >= _COLLAPSE_KIMG else None
