"""How people get to a page: its address on stdout, and with --lan a code for phones, anew for each that came in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upimagine.cli.frame import warn

if TYPE_CHECKING:
    from upimagine.studio.server import Address


class Invitation:
    """The door of a page, and what is printed before it."""

    def __init__(self, address: Address) -> None:
        from upimagine.studio.security import Door

        self._address = address
        self.door = Door(locked=address.lan, on_entered=self._show)

    @property
    def url(self) -> str:
        """Lets the next one in."""
        from upimagine.studio.server import entrance

        return entrance(self._address, self.door)

    def give(self) -> None:
        """Print where to go, and how it ends."""
        self._show()
        warn("scan the code with the phone's camera; Ctrl-C ends it" if self._address.lan else "Ctrl-C ends it")

    def _show(self) -> None:
        if self._address.lan:
            from upimagine.studio.qr import qr_code

            warn(qr_code(self.url))
        print(self.url, flush=True)
