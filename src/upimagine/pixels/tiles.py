"""The folder of tiles beside a .dzi file: its name, what is in it, and when it may be replaced."""

from __future__ import annotations

from pathlib import Path

from upimagine.errors import PictureError, UpimagineError

SUFFIX = ".dzi"
RECIPE = "recipe.json"
"""Name of the recipe within the folder of tiles."""

NEW, NEW_LEVELS = "picture.dzi", "picture_files"
"""What a pyramid and its folder of tiles are called in the hidden folder where they are made."""
OLD, OLD_LEVELS = "old", "old_files"
"""What those that they replace are called there, while names change hands."""

_DEEP_ZOOM = b"http://schemas.microsoft.com/deepzoom/"
_BESIDE_LEVELS = (RECIPE, "vips-properties.xml")


def tiles_folder(path: Path) -> Path:
    """Name the folder that viewers look for when they are given NAME.dzi: NAME_files."""
    return path.with_name(path.stem + "_files")


def claim_folder(path: Path, overwrite: bool) -> None:
    """Make sure that the tiles' folder is free, or one of tiles that may be replaced.

    Raises:
        UpimagineError: it exists and `overwrite` was not asked for, or holds what is no tile (browsers give folders of
            saved pages the same kind of name).
    """
    folder = tiles_folder(path)
    if not folder.exists() and not folder.is_symlink():
        return
    if not overwrite:
        raise UpimagineError(f"{folder} exists; add --overwrite to replace it")
    ours = folder.is_dir() and not folder.is_symlink()
    if not ours or any(not entry.name.isdecimal() and entry.name not in _BESIDE_LEVELS for entry in folder.iterdir()):
        raise UpimagineError(f"{folder} holds other things than tiles; move it away or choose another name")


def go_through(hidden: Path, target: Path) -> None:
    """End what a process was killed at while names changed hands: the old pyramid returns, or the new one comes.

    Raises:
        OSError: the system refused.
    """
    folder = tiles_folder(target)
    if target.exists():  # names had not begun to change hands, or all of them have
        return
    if (hidden / NEW).exists() and not (hidden / NEW_LEVELS).exists() and folder.exists():
        (hidden / NEW).rename(target)
        return
    if (hidden / OLD_LEVELS).exists() and not folder.exists():
        (hidden / OLD_LEVELS).rename(folder)
    if (hidden / OLD).exists():
        (hidden / OLD).rename(target)


def is_pyramid(path: Path) -> bool:
    """Tell whether a file is the description of a pyramid of tiles; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError:
        return False
    return head.lstrip(b"\xef\xbb\xbf").startswith(b"<?xml") and _DEEP_ZOOM in head


def read_recipe(path: Path) -> str | None:
    """Read the recipe of a pyramid, None where there is none.

    Raises:
        PictureError: it cannot be read.
    """
    recipe = tiles_folder(path) / RECIPE
    try:
        return recipe.read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise PictureError(f"{recipe}: cannot be read ({error}); open a copy that was not edited") from error
