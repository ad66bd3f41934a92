"""The models that come with the package, and how a name becomes a file."""

from __future__ import annotations

import difflib
from pathlib import Path

from upimagine.errors import UpimagineError

_FOLDER = Path(__file__).parent / "weights"


def builtin_models() -> dict[str, Path]:
    """Name to weight file; the card lies beside it as NAME.md."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.safetensors"))}


def find(model: str | Path) -> Path:
    """The file of a built-in name or a path. Raises UpimagineError, with the nearest name, when there is none."""
    known = builtin_models()
    if str(model) in known:
        return known[str(model)]
    path = Path(model)
    if path.is_file():
        return path.resolve()
    if path.suffix or path.parent != Path():
        raise UpimagineError(f"model file {path} does not exist; `upimagine models` lists the built-in models")
    near = difflib.get_close_matches(str(model), known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"built in are {', '.join(known) or 'none yet'}"
    raise UpimagineError(f"there is no model {str(model)!r}; {hint} (or give the path of a .safetensors file)")


def card_of(model: str | Path) -> str | None:
    """The model card that lies beside the weights, or None."""
    card = find(model).with_suffix(".md")
    return card.read_text(encoding="utf-8") if card.is_file() else None
