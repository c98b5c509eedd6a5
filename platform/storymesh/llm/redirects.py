"""Redirects, which are not followed while a model is asked: prompts and a key go where they were sent, or nowhere.

Each provider has an SDK of its own, and most follow redirects unless they are told otherwise, each in another way. What
they have in common are the HTTP libraries below them: these are told, within `redirects_refused` and only there.
"""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache, wraps
from inspect import isawaitable, iscoroutinefunction
from typing import Any

_ASKING: ContextVar[bool] = ContextVar("a model is being asked", default=False)
# Library -> class, method by which every request goes, and the argument that says whether a redirect is followed.
_SENDERS = (
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
def redirects_refused() -> Iterator[None]:
    """Let no request that begins in here, in this task or a thread of it, follow a redirect: it raises RedirectRefused.

    What runs beside it, such as a download, follows them as before.
    """
    _guard_libraries()
    token = _ASKING.set(True)
    try:
        yield
    finally:
        _ASKING.reset(token)


@cache
def _guard_libraries() -> None:
    for library, class_name, method, argument in _SENDERS:
        with suppress(ImportError):
            owner = getattr(importlib.import_module(library), class_name)
            setattr(owner, method, _guarded(getattr(owner, method), argument))


def _guarded(send: Callable[..., Any], argument: str) -> Callable[..., Any]:
    """Return `send`, which follows no redirect while a model is asked."""
    if iscoroutinefunction(send):

        @wraps(send)
        async def send_guarded(*given: Any, **named: Any) -> Any:
            if not _ASKING.get():
                return await send(*given, **named)
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
            if not _ASKING.get():
                return send(*given, **named)
            response = send(*given, **{**named, argument: False})
            if status := _redirect(response):
                response.close()
                raise RedirectRefused(status)
            return response

    return send_guarded


def _redirect(response: Any) -> int | None:
    """Return the status of an answer that sends on, None for any other."""
    status = getattr(response, "status_code", None) or response.status
    return int(status) if 300 <= status < 400 else None
