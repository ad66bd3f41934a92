"""Which pictures a verb was given, and where each result goes."""

from __future__ import annotations

from pathlib import Path


def named_pictures(given: tuple[Path, ...]) -> list[Path]:
    """Files of all folders and patterns, in order, each once. Raises UpimagineError where there is none."""
    import glob

    from upimagine.data.folder import list_pictures
    from upimagine.errors import UpimagineError

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
    if not found:
        raise UpimagineError("no picture was named; give files or folders")
    return list(dict.fromkeys(found))


def targets(pictures: list[Path], out: Path | None, ending: str, folder: bool) -> list[Path]:
    """NAME-ENDING.png beside each picture or in the folder `out`; or the file `out`, where `folder` is False.

    Raises UpimagineError where two results would have one name.
    """
    from upimagine.errors import UpimagineError

    if folder and out is not None and out.suffix and not out.is_dir():
        raise UpimagineError(f"{len(pictures)} pictures cannot all go to the file {out}; give -o a folder")
    found = [_target(path, out, ending, folder) for path in pictures]
    for path, target in zip(pictures, found, strict=True):
        if found.count(target) > 1:
            raise UpimagineError(f"{path} and another picture would both become {target}; give them apart")
    return found


def _target(picture: Path, out: Path | None, ending: str, folder: bool) -> Path:
    name = f"{picture.stem}-{ending}.png"
    if out is None:
        return picture.with_name(name)
    return out / name if folder or (not out.suffix or out.is_dir()) else out
