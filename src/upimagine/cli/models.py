"""`upimagine models [MODEL]`: what is built in, and what a model file says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from tyro.conf import Positional

from upimagine.cli.frame import parse, tell


@dataclass(frozen=True)
class Arguments:
    """List the built-in models, or describe one."""

    model: Positional[str | None] = None
    """a built-in name or the path of a .safetensors file"""
    json: bool = False
    """print the result as one JSON object"""


def run(arguments: list[str]) -> int:
    """Parse, look, print."""
    chosen = parse(Arguments, "models", arguments)
    from upimagine.models.builtin import builtin_models, card_of, find
    from upimagine.models.file import read_header

    if chosen.model is None:
        headers = {name: read_header(path) for name, path in builtin_models().items()}
        lines = [f"{name:<16} {header['role']:<10} {_size(find(name))}" for name, header in headers.items()]
        tell(chosen.json, dict(headers.items()), *(lines or ["no models are built in"]))
        return 0
    header = read_header(find(chosen.model))
    card = card_of(chosen.model)
    tell(chosen.json, header, card or _plain(header))
    return 0


def _size(path: object) -> str:
    from pathlib import Path

    return f"{Path(str(path)).stat().st_size / 1e6:.1f} MB"


def _plain(header: dict[str, object]) -> str:
    import json

    return json.dumps(header, indent=2)
