"""Who may ask what: host names, origins, sessions, sizes and headers, before any page sees a request."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY_BYTES = 1 << 20
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
ENTER = "/enter/"
"""What a token follows in the address that lets a phone in."""

_HEADERS = {
    # Only what this server sends, and no script or style inside a page.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_ENTERED = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">
<title>Welcome</title><a href="/">Go on</a></html>"""


@dataclass
class Door:
    """Lets in whoever names the token of the moment; the next one needs the next token. For the event loop's thread."""

    locked: bool
    """False: everybody who reaches the server is in."""
    on_entered: Callable[[], None] = lambda: None
    """Called after a token was used up."""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    _sessions: set[str] = field(default_factory=set)

    def enter(self, token: str) -> str | None:
        """A session for the token, which is then spent; None for a wrong one."""
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            return None
        self.token = secrets.token_urlsafe(16)
        session = secrets.token_urlsafe(32)
        self._sessions.add(session)
        self.on_entered()
        return session

    def knows(self, session: str | None) -> bool:
        """Whether whoever shows this may pass."""
        return not self.locked or session in self._sessions


class Guard:
    """Middleware that refuses requests for other hosts (DNS rebinding), from other origins (CSRF), without a session,
    or too large, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str], door: Door, most_body_bytes: int = MOST_BODY_BYTES) -> None:
        """`hosts` as in the Host header, with their ports."""
        self.app, self.hosts, self.door, self.most_body_bytes = app, hosts, door, most_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on or refuse."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets here
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        await self.app(scope, self._bounded(receive), send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if host not in self.hosts:
            return PlainTextResponse("this server is not called so; use the address that it printed", 421)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        if scope["method"] not in ("GET", "HEAD"):
            if (origin is not None and origin != f"http://{host}") or site not in ("same-origin", "none"):
                return PlainTextResponse("asked by another site", 403)
            length = headers.get("content-length", "0")
            if length.isdecimal() and int(length) > self.most_body_bytes:
                return PlainTextResponse(f"more than {self.most_body_bytes} bytes", 413)
        if scope["method"] == "GET" and scope["path"].startswith(ENTER) and self.door.locked:
            return self._entrance(scope["path"].removeprefix(ENTER), host)
        if not self.door.knows(HTTPConnection(scope).cookies.get(cookie_name(host))):
            return PlainTextResponse("scan the QR code in the terminal to come in", 401)
        return None

    def _entrance(self, token: str, host: str) -> Response:
        session = self.door.enter(token)
        if session is None:
            return PlainTextResponse("this code was used already; scan the one that the terminal shows now", 401)
        # A page that goes on by itself, not a redirect: only so a strict cookie comes along at once from any app.
        response = HTMLResponse(_ENTERED)
        response.set_cookie(cookie_name(host), session, httponly=True, samesite="strict", path="/")
        return response

    def _bounded(self, receive: Receive) -> Receive:
        """A body that does not say its length is refused, too, once it is too long."""
        left = self.most_body_bytes

        async def bounded() -> Message:
            nonlocal left
            message = await receive()
            if message["type"] == "http.request":
                left -= len(message.get("body", b""))
                if left < 0:
                    raise HTTPException(413, f"more than {self.most_body_bytes} bytes")
            return message

        return bounded


def cookie_name(host: str) -> str:
    """Cookies do not know ports, so that two servers on one machine need two names."""
    return f"upimagine_{host.rpartition(':')[2]}"
