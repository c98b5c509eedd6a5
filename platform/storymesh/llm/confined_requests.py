"""Confinement of requests to a model: prompts and keys go to the intended address or nowhere.

Each provider has an SDK of its own. Most follow redirects unless they are told otherwise, each in another way, and some
find further keys in the environment that they send along. What they have in common are the HTTP libraries below them:
these are told, within `confined_requests` and only there.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, wraps
from inspect import isawaitable, iscoroutinefunction
from typing import Any
from urllib.parse import urljoin, urlsplit

from storymesh.errors import NarratorFailed


@dataclass(frozen=True)
class _Confinement:
    """The address to which alone requests may go (None: any), and values that they may not take there."""

    address: str | None
    withheld: tuple[str, ...]

    def require_allowed(self, url: str, headers: Mapping[str, Any]) -> None:
        """Raise NarratorFailed for a request that goes elsewhere or carries what it should not."""
        if self.address is None:
            return
        if _origin(url) != _origin(self.address):
            host = urlsplit(url).hostname
            raise NarratorFailed(
                f"what stands behind `base_url` would also be asked at {host}, so nothing is sent",
                "leave `base_url` away, or name the provider whose protocol the server at that address speaks",
            )
        if any(secret in text for text in (url, *map(_text, headers.values())) for secret in self.withheld):
            raise NarratorFailed(
                f"a key of the environment would go to {urlsplit(url).hostname}, which `base_url` names, so nothing is "
                "sent",
                "a server named by `base_url` gets the key in STORYMESH_NARRATOR_KEY alone: unset the provider's own",
            )


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


_CONFINEMENT: ContextVar[_Confinement | None] = ContextVar("a model is being asked", default=None)
# Library -> class, method by which every request goes, and the argument that says whether a redirect is followed.
_SEND_METHODS = (
    ("httpx", "Client", "send", "follow_redirects"),
    ("httpx", "AsyncClient", "send", "follow_redirects"),
    ("httpx2", "Client", "send", "follow_redirects"),
    ("httpx2", "AsyncClient", "send", "follow_redirects"),
    ("requests", "Session", "send", "allow_redirects"),
    ("aiohttp", "ClientSession", "_request", "allow_redirects"),
    ("urllib3", "PoolManager", "urlopen", "redirect"),
)


class RedirectRefused(Exception):
    """A server that answered a question by sending it on, with the `status_code` of HTTP."""

    def __init__(self, status_code: int) -> None:
        self.status_code = status_code
        super().__init__("it sends the question on to another address, which is not followed")


@contextmanager
def confined_requests(address: str | None = None, withheld: tuple[str, ...] = ()) -> Iterator[None]:
    """Let no request that begins in here, in this task or a thread of it, follow a redirect: it raises RedirectRefused.

    Where an `address` is given, a request to another scheme, host or port, or one with a value of `withheld` in its
    headers or its URL, raises NarratorFailed before anything is sent.
    What runs beside it, such as a download, follows them as before.
    """
    _guard_libraries()
    token = _CONFINEMENT.set(_Confinement(address, withheld))
    try:
        yield
    finally:
        _CONFINEMENT.reset(token)


@cache
def _guard_libraries() -> None:
    for library, class_name, method, argument in _SEND_METHODS:
        with suppress(ImportError):
            owner = getattr(importlib.import_module(library), class_name)
            setattr(owner, method, _guard(getattr(owner, method), argument))


def _guard(send: Callable[..., Any], argument: str) -> Callable[..., Any]:
    """Return `send`, which follows no redirect while a model is asked."""
    if iscoroutinefunction(send):

        @wraps(send)
        async def send_guarded(*given: Any, **named: Any) -> Any:
            if (confinement := _CONFINEMENT.get()) is None:
                return await send(*given, **named)
            confinement.require_allowed(*_target(*given, **named))
            response = await send(*given, **{**named, argument: False})
            if status := _redirect(response):
                closed = (getattr(response, "aclose", None) or response.close)()
                if isawaitable(closed):
                    await closed
                raise RedirectRefused(status)
            return response

    else:

        @wraps(send)
        def send_guarded(*given: Any, **named: Any) -> Any:
            if (confinement := _CONFINEMENT.get()) is None:
                return send(*given, **named)
            confinement.require_allowed(*_target(*given, **named))
            response = send(*given, **{**named, argument: False})
            if status := _redirect(response):
                response.close()
                raise RedirectRefused(status)
            return response

    return send_guarded


def _target(
    client: Any, request: Any, url: Any = None, *_: Any, headers: Any = None, **__: Any
) -> tuple[str, Mapping[str, Any]]:
    """Return where a request of any of the libraries goes, and its headers: of a request object, or of method and URL
    with what the client adds."""
    if hasattr(request, "headers"):
        return str(request.url), request.headers
    added = getattr(client, "headers", None) or {}
    base = getattr(client, "_base_url", None)
    return urljoin(str(base), str(url)) if base else str(url), {**added, **dict(headers or {})}


def _redirect(response: Any) -> int | None:
    """Return the status of an answer that sends on, None for any other."""
    status = getattr(response, "status_code", None) or response.status
    return int(status) if 300 <= status < 400 else None
