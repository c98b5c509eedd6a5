"""Protection of Dagster's web server against other pages in the same browser: only its own pages and programs may use
it.

Dagster asks nobody who they are, so whatever a browser can be made to send would start jobs. A page of another site may
send forms and plain texts anywhere, open web sockets, and make its own name lead to this machine (DNS rebinding). All
of these show in the headers that a page cannot choose: `Host`, `Origin` and `Sec-Fetch-*`.
"""

import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

HOSTS = "STORYMESH_UI_HOSTS"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# Dagster shows texts of teams and authors as Markdown. A picture in one would be fetched from wherever it says, with
# whatever a template writes into its address.
_POLICY = (
    b"frame-ancestors 'self'; frame-src 'self'; form-action 'self'; font-src 'self' data:; "
    b"img-src 'self' data: blob:; media-src 'self' data: blob:"
)
HEADERS = (
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"content-security-policy", _POLICY),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_HOST = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9_.-]+))(?::(?P<port>[0-9]{1,5}))?")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Refusal:
    """A refused request, with the HTTP status and what to do."""

    status: int
    words: str


def known_hosts() -> frozenset[str]:
    """Return the names in STORYMESH_UI_HOSTS under which people reach the interface, such as a proxy's."""
    return frozenset(name.strip().lower() for name in os.environ.get(HOSTS, "").split(",") if name.strip())


class BrowserGuard:
    """ASGI middleware that answers the interface's own pages and programs, and refuses what other pages send.

    `Host` has to name this machine: `localhost`, a loopback address, the address that the connection came to, or a name
    in STORYMESH_UI_HOSTS. `Origin` has to be the same. Nothing is changed by GET, or by a form or a plain text.
    """

    def __init__(self, app: App, hosts: frozenset[str] | None = None) -> None:
        self.app = app
        self.hosts = known_hosts() if hosts is None else hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refusal = self.refusal(scope)
        if refusal is None:
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.words})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
            await _with_headers(send)({"type": "http.response.start", "status": refusal.status, "headers": headers})
            await send({"type": "http.response.body", "body": f"refused: {refusal.words}\n".encode()})

    def refusal(self, scope: Scope) -> Refusal | None:
        """Return why the request is not answered, or None."""
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        if any(len(headers.get(name, ())) > 1 for name in ("host", "origin", "content-type")):
            return Refusal(400, "a header that there may be one of comes twice")
        one = {name: values[0] for name, values in headers.items()}
        host = one.get("host", "")
        if not self._is_ours(host, scope):
            return Refusal(421, f"the header Host names another machine; {HOSTS} lists the names of this one")
        origin = one.get("origin")
        if origin is not None and not self._is_same_site(origin, host, scope):
            return Refusal(403, "a page of another site may ask for nothing here")
        if scope["type"] == "websocket":
            if one.get("sec-fetch-site") in ("cross-site", "same-site"):
                return Refusal(403, "a page of another site may ask for nothing here")
            return None
        return self._refusal_of_request(scope, one, host)

    def _refusal_of_request(self, scope: Scope, headers: dict[str, str], host: str) -> Refusal | None:
        method = scope["method"]
        graphql = scope["path"].rstrip("/").endswith("/graphql")
        page = method == "GET" and "text/html" in headers.get("accept", "")
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            # Following a link to a page is all that another site may have a browser do; not in a frame.
            followed = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
            if method != "GET" or not followed or graphql:
                return Refusal(403, "a page of another site may ask for nothing here")
        if graphql and not page and method != "POST":
            return Refusal(405, "queries are sent by POST")
        if method in SAFE_METHODS:
            return None
        referrer = headers.get("referer")
        if "origin" not in headers and referrer and not self._is_same_site(referrer, host, scope):
            return Refusal(403, "a page of another site may ask for nothing here")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return Refusal(415, "what is sent has to be application/json")
        return None

    def _is_ours(self, host: str, scope: Scope) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = (match["six"] or match["name"]).lower()
        listed = (_HOST.fullmatch(entry) for entry in self.hosts)
        if name == "localhost" or name in {(entry["six"] or entry["name"]).lower() for entry in listed if entry}:
            return True
        try:
            address = ip_address(name)
            server = scope.get("server")
            return address.is_loopback or (server is not None and address == ip_address(server[0]))
        except ValueError:
            return False

    def _is_same_site(self, origin: str, host: str, scope: Scope) -> bool:
        """Return True if a page of `origin` came from the name and port that `host` says, or from a name in the list:
        a proxy may send a Host of its own."""
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        if parts.scheme not in ("http", "https"):
            return False
        site = _name_and_port(parts.netloc, parts.scheme)
        if site is None:
            return False
        listed = {_name_and_port(entry, parts.scheme) for entry in self.hosts}
        return site in listed or site == _name_and_port(host, scope.get("scheme", "http"))


def _name_and_port(netloc: str, scheme: str) -> tuple[str, int] | None:
    """Return the name and the port that an address of `scheme` leads to: without a port, the one of the scheme."""
    match = _HOST.fullmatch(netloc)
    if match is None:
        return None
    return (match["six"] or match["name"]).lower(), int(match["port"] or _PORTS.get(scheme, 0))


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = [(name, value) for name, value in message.get("headers", ())]
            names = {name.lower() for name, _ in given}
            # Two policies hold both; of the others the server's own stays.
            added = [pair for pair in HEADERS if pair[0] == b"content-security-policy" or pair[0] not in names]
            message = {**message, "headers": [*given, *added]}
        await send(message)

    return guarded
