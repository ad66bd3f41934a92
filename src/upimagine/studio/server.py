"""An app out of pages, and the server that shows it: on loopback, or on the local network behind a token."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from upimagine.errors import UpimagineError
from upimagine.studio.security import ENTER, LOOPBACK, Door, Guard

STATIC = Path(__file__).parent / "static"
"""What pages are made of: modules, styles, icons. Served below /static; never anything else."""
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class _Static(StaticFiles):
    """Asked again each time (a 304 where nothing changed), so that an update is seen at once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """As `StaticFiles`."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def page(name: str) -> FileResponse:
    """A page of `static/`, for a route of one's own."""
    return FileResponse(STATIC / name, headers={"Cache-Control": "no-cache"})


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    listener: socket.socket
    lan: bool
    ip: str
    """What others reach it by."""
    port: int

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"http://{self.ip}:{self.port}"

    @property
    def hosts(self) -> frozenset[str]:
        """What may stand in the Host header."""
        names = {*LOOPBACK}
        if self.lan:
            name = socket.gethostname().lower()
            names |= {self.ip, name, f"{name}.local"}
        plain = names if self.port == 80 else set()
        return frozenset({f"{name}:{self.port}" for name in names} | plain)


def listen(port: int, lan: bool = False) -> Address:
    """Take a port (0: any free one) on loopback or, with `lan`, on every IPv4 interface.

    Raises:
        UpimagineError: the port is taken or forbidden, or there is no network.
    """
    if not 0 <= port <= 65535:
        raise UpimagineError(f"--port {port} cannot work; give 0 to 65535")
    ip = _own_ip() if lan else "127.0.0.1"
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("" if lan else ip, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise UpimagineError(f"port {port} is taken, perhaps by another upimagine; give another --port") from error
        raise UpimagineError(f"port {port} cannot be used ({(error.strerror or '').lower()}); give --port") from error
    return Address(listener, lan, ip, listener.getsockname()[1])


def create_app(
    title: str, routers: Sequence[APIRouter], hosts: frozenset[str], door: Door, lifespan: Lifespan | None = None
) -> FastAPI:
    """Routers with static files, OpenAPI (/openapi.json) and the guard before them."""
    app = FastAPI(title=title, docs_url=None, redoc_url=None, lifespan=lifespan)
    for router in routers:
        app.include_router(router)
    app.mount("/static", _Static(directory=STATIC))
    app.add_middleware(Guard, hosts=hosts, door=door)
    return app


def serve(app: FastAPI, address: Address) -> None:
    """Answer until Ctrl-C or SIGTERM; running requests are finished first."""
    import uvicorn

    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=3
    )
    try:
        uvicorn.Server(settings).run(sockets=[address.listener])
    except KeyboardInterrupt:  # uvicorn raises the signal anew once it has ended in order
        return


def entrance(address: Address, door: Door) -> str:
    """The address that lets the next phone in."""
    return f"{address.url}{ENTER}{door.token}" if door.locked else f"{address.url}/"


def _own_ip() -> str:
    """This machine's address on the network, as the way to the outside tells; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1 (RFC 5737)
            return str(probe.getsockname()[0])
        except OSError as error:
            raise UpimagineError("there is no network to listen on; leave out --lan") from error
