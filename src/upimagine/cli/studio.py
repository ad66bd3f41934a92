"""`upimagine studio [FOLDER]`: pictures, runs, candidates and sliders in the browser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from upimagine.cli.frame import parse
from upimagine.cli.invitation import Invitation


@dataclass(frozen=True)
class Arguments:
    """Open a folder in the browser: pictures, runs, candidates, tournaments, latent sliders, catalogs, deep zoom.

    Only this machine can reach it, unless --lan is given: then phones in the same network can, by a QR code. New
    pictures go into the folder's `made` and `kept-N`, what was said in a tournament into `tournament.db`.
    """

    folder: Positional[Path] = Path()
    """with pictures, runs and samples, however deep"""
    catalog: Annotated[Path | None, arg(metavar="CATALOG", help_behavior_hint="")] = None
    """made by `upimagine prepare`; its pictures may lie anywhere, those of catalogs in the folder only inside it"""
    lan: bool = False
    """let phones in, each by the code of the moment"""
    port: int = 8060
    """0: any free one"""
    open: bool = True
    """open it in this machine's browser"""


def run(arguments: list[str]) -> int:
    """Parse, listen, serve until Ctrl-C."""
    chosen = parse(Arguments, "studio", arguments)
    from upimagine.errors import UpimagineError

    try:
        from upimagine.studio.app import studio_app
        from upimagine.studio.server import listen, serve
    except ModuleNotFoundError as error:
        raise UpimagineError(f"the studio needs {error.name}; pip install 'upimagine[studio]'") from error

    address = listen(chosen.port, chosen.lan)
    invitation = Invitation(address)
    app = studio_app(chosen.folder, address.hosts, invitation.door, catalog=chosen.catalog)
    if chosen.open and not chosen.lan:
        import webbrowser

        webbrowser.open(invitation.url)
    invitation.give()
    serve(app, address)
    return 0
