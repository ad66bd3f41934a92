"""The command line: `upimagine VERB …`. One file a verb; nothing heavy is imported before a verb is chosen."""

from __future__ import annotations

import difflib
import errno
import sys
import traceback
from importlib import import_module

#: Verb to what it does, in the order of a day's work. The module of the same name has `run(arguments) -> exit code`.
VERBS = {
    "make": "walk from noise to the print, as a recipe says: abstract, enhance, portrait, or your own .toml",
    "mix": "from pictures of two or more people to new faces between them",
    "enlarge": "up-imagine pictures to any size",
    "translate": "turn pictures into others, as pix2pix has learned to",
    "prepare": "scan pictures into a catalog, flag the bad ones, take out the good",
    "sort": "keep or reject a catalog's pictures by swipes, on phones or with keys",
    "sample": "make pictures from noise, ranked, with a contact sheet",
    "cull": "keep the best of thousands that also differ",
    "studio": "pictures, runs, candidates and sliders in the browser",
    "train": "train a model on a folder of pictures: dcgan, enhance, fastgan, pix2pix, progressive, upres",
    "again": "make the same pixels again from the recipe inside a picture",
    "models": "list the built-in models, or describe one",
}

OK, FAILED, USAGE, SOME, INTERRUPTED = 0, 1, 2, 3, 130


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {text}" for verb, text in VERBS.items())
    return (
        "usage: upimagine VERB [options]\n\n"
        "Train small GANs on your own pictures, pick the best of thousands,\n"
        "up-imagine them into prints of any size.\n\n"
        f"verbs:\n{verbs}\n\n"
        "  upimagine VERB --help   the options of a verb\n"
        "  upimagine --version     the version\n"
        "  --debug                 with any verb: show where an error came from\n\n"
        "exit codes: 0 all done, 1 nothing done or failed, 2 wrong usage, 3 some pictures were passed over,\n"
        "            130 stopped by Ctrl-C"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; the exit code is 0 for all, 1 for none or failed, 2 for wrong usage, 3 for some."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return OK if arguments else USAGE
    if arguments[0] in ("-V", "--version"):
        from upimagine import __version__

        print(f"upimagine {__version__}")
        return OK
    verb = arguments[0]
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(VERBS)}"
        print(f"upimagine: there is no verb {verb!r}; {hint}", file=sys.stderr)
        return USAGE
    return _run(verb, arguments[1:], debug)


def _run(verb: str, arguments: list[str], debug: bool) -> int:
    from upimagine.errors import UpimagineError, UsageError

    try:
        code: int = import_module(f"upimagine.cli.{verb}").run(arguments)
        return code
    except UpimagineError as error:
        if debug:
            traceback.print_exc()
        print(f"upimagine {verb}: {error}", file=sys.stderr)
        return USAGE if isinstance(error, UsageError) else FAILED
    except KeyboardInterrupt:
        print(
            f"upimagine {verb}: interrupted; no half-written file was left, and the same command may go on",
            file=sys.stderr,
        )
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has had enough
        sys.stderr.close()
        return FAILED
    except OSError as error:
        if debug or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        where = error.filename or "the output"
        print(f"upimagine {verb}: {where}: {error.strerror}; free some space or choose another folder", file=sys.stderr)
        return FAILED
