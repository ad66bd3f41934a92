"""Which pictures a verb was given, and where each result goes."""

from __future__ import annotations

from pathlib import Path


def named_pictures(given: tuple[Path, ...]) -> list[Path]:
    """Files of all folders and patterns, in order, each once.

    Raises UsageError when nothing was given, UpimagineError where there is no file.
    """
    import glob

    from upimagine.data.folder import list_pictures
    from upimagine.errors import UpimagineError, UsageError

    if not given:
        raise UsageError("no picture was named; give files or folders")
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            found += list_pictures([path])
        elif not path.exists() and glob.has_magic(str(path)):
            matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207 (any path)
            if not matches:
                raise UpimagineError(f"no file matches {path}")
            found += [match for match in matches if match.is_file()]
        else:
            found.append(path)
    if not found:  # patterns that meant folders
        raise UpimagineError(f"{given[0]} matches no files; name the folder itself")
    return list(dict.fromkeys(found))


def targets(
    pictures: list[Path], out: Path | None, ending: str, given: tuple[Path, ...], kind: str = "png"
) -> list[Path]:
    """Where each picture's result goes: into the file `out`, or the folder `out`, or NAME-ENDING.KIND beside it.

    Those of a folder that was `given` go into the folder FOLDER-ENDING beside it, so that they are not taken for
    pictures the next time. Raises UpimagineError where two results would have one name, or many are to be one file.
    """
    from upimagine.errors import UpimagineError

    folders = {path for path in given if path.is_dir()}
    several = len(pictures) > 1 or bool(folders)
    if several and out is not None and out.suffix and not out.is_dir():
        raise UpimagineError(f"{len(pictures)} pictures cannot all go to the file {out}; give -o a folder")
    found = []
    for path in pictures:
        name = f"{path.stem}-{ending}.{kind}"
        if out is None:
            found.append((_beside(path.parent, ending) if path.parent in folders else path.parent) / name)
        else:
            found.append(out / name if several or not out.suffix or out.is_dir() else out)
    for path, target in zip(pictures, found, strict=True):
        if found.count(target) > 1:
            raise UpimagineError(f"{path} and another picture would both become {target}; give them apart")
    return found


def _beside(folder: Path, ending: str) -> Path:
    """FOLDER-ENDING; the root has nothing beside it."""
    named = folder if folder.name not in ("", "..") else folder.resolve()
    return named.with_name(f"{named.name}-{ending}") if named.name else named
