"""Downloads of files from the URLs in a product's column: never from a private network, never without limits.

An address is checked where a connection is made, so it does not matter how it was written, which name led to it, what
that name meant a moment ago, or that another server has sent on to it.
"""

import asyncio
import errno
import ipaddress
import json
import queue
import socket
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urljoin, urlsplit

from storymesh.files.reading.readers import ReaderMissing
from storymesh.files.reading.reading import FileLimits, FileRefused, Refused

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

Key = TypeVar("Key")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
MAX_REDIRECTS: Final = 5
_AT_ONCE = 16
_FOR_A_HOST = 8
_STEP = 2**16
_CODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # -> the window of zlib
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_REFUSED = "is no address of the public internet"


@dataclass(frozen=True)
class WebFile:
    """What an address gave. `token` is what to ask with the next time, None where the server has no such word."""

    content: bytes = field(repr=False)
    token: str | None = None


@dataclass(frozen=True)
class Unchanged:
    """An answer of a server that the file is still the one of the token."""


class _AddressRefused(OSError):
    """A connection that is not made."""


def fetch_many(
    files: Iterable[tuple[Key, str, str | None]], limits: FileLimits, networks: Sequence[str] = ()
) -> Iterator[tuple[Key, WebFile | Unchanged | Refused]]:
    """Yield the key of each address with what it gave, in the order in which they are done.

    `files` are a key, an address of http or https, and the token of the last time, if there is one; it is iterated
    here, a few ahead. `networks` are those that may be reached though they are private, such as "10.1.0.0/16".
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="web files", daemon=True)
    thread.start()
    asked: set[Future[Any]] = set()
    done: queue.SimpleQueue[tuple[Any, Future[Any]]] = queue.SimpleQueue()
    session = asyncio.run_coroutine_threadsafe(_open_session(limits, networks), loop).result()

    def ask(key: Key, address: str, token: str | None) -> None:
        future = asyncio.run_coroutine_threadsafe(_fetch(session, address, token, limits), loop)
        asked.add(future)
        future.add_done_callback(lambda ended: done.put((key, ended)))

    def answer() -> tuple[Key, WebFile | Unchanged | Refused]:
        key, future = done.get()
        asked.discard(future)
        return key, future.result()

    try:
        for file in files:
            ask(*file)
            while len(asked) >= _AT_ONCE or (asked and not done.empty()):
                yield answer()
        while asked:
            yield answer()
    finally:
        for future in asked:
            future.cancel()
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(session.close(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        if not thread.is_alive():
            loop.close()


async def _open_session(limits: FileLimits, networks: Sequence[str]) -> "ClientSession":
    try:
        import aiohttp
    except ImportError:
        words = "to read files of the web, aiohttp is needed, not installed here"
        raise ReaderMissing(words, "pip install 'storymesh[files]'") from None
    allowed = [ipaddress.ip_network(network) for network in networks]

    def open_socket(address: Any) -> socket.socket:
        family, kind, protocol, _, (host, *_) = address
        require_public(host, allowed)
        return socket.socket(family=family, type=kind, proto=protocol)

    connector = aiohttp.TCPConnector(
        limit=_AT_ONCE, limit_per_host=_FOR_A_HOST, socket_factory=open_socket, ttl_dns_cache=60
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=limits.seconds),
        headers={"User-Agent": "storymesh", "Accept": "*/*", "Accept-Encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


def require_public(host: str, allowed: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network] = ()) -> None:
    """Raise an OSError for an address, as a socket gets it, that is in no public network and in none of `allowed`."""
    try:
        address = _embedded_ipv4(ipaddress.ip_address(host))
    except ValueError:  # whatever the system would make of it
        raise _AddressRefused(errno.EACCES, f"{host} {_REFUSED}") from None
    if any(address in network for network in allowed):
        return
    if not address.is_global or address.is_multicast:
        raise _AddressRefused(errno.EACCES, f"{address} {_REFUSED}")


def _embedded_ipv4(address: Address) -> Address:
    """Return the address that is reached by one of IPv6 which has one of IPv4 in it."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None) or address


async def _fetch(
    session: "ClientSession", address: str, token: str | None, limits: FileLimits
) -> WebFile | Unchanged | Refused:
    import aiohttp

    try:
        async with asyncio.timeout(limits.seconds):
            return await _follow(session, address, token, limits)
    except FileRefused as error:
        return error.refused
    except TimeoutError:
        return Refused("timeout", f"it took longer than {limits.seconds:g} s")
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, aiohttp.InvalidUrlClientError):
        return Refused("address not allowed", "it is no address of http or https")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        words = " ".join(str(error).split())[:200]
        return Refused("address not allowed" if _REFUSED in words else "no connection", words)


async def _follow(
    session: "ClientSession", address: str, token: str | None, limits: FileLimits
) -> WebFile | Unchanged | Refused:
    """Return what an address gives, or what those give to which it sends on."""
    headers = _conditions(token)
    for _ in range(MAX_REDIRECTS + 1):
        if urlsplit(address).scheme not in ("http", "https"):
            return Refused("address not allowed", "it is no address of http or https")
        async with session.get(address, headers=headers, allow_redirects=False) as response:
            if response.status == 304 and token:
                return Unchanged()
            if response.status == 200:
                return WebFile(await _content(response, limits.bytes), _token(response))
            location = response.headers.get("Location")
            if response.status not in (301, 302, 303, 307, 308) or not location:
                return Refused(f"http {response.status}", response.reason or "")
            address = urljoin(str(response.url), location)
    return Refused("too many redirects", f"it sends on more than {MAX_REDIRECTS} times")


def _conditions(token: str | None) -> dict[str, str]:
    if not token:
        return {}
    etag, modified = json.loads(token)
    return ({"If-None-Match": etag} if etag else {}) | ({"If-Modified-Since": modified} if modified else {})


def _token(response: "ClientResponse") -> str | None:
    etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
    return json.dumps([etag, modified]) if etag or modified else None


async def _content(response: "ClientResponse", limit: int) -> bytes:
    """Return the body, unpacked. Raises FileRefused as soon as it is larger than the limit, packed or unpacked."""
    if (response.content_length or 0) > limit:
        raise _too_large(limit)
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("identity", "", *_CODINGS):
        raise FileRefused("damaged", f"its content is packed as {coding[:40]}, which nobody has asked for")
    unpack = zlib.decompressobj(_CODINGS[coding]) if coding in _CODINGS else None
    body, packed = bytearray(), 0
    async for piece in response.content.iter_chunked(_STEP):
        packed += len(piece)
        if unpack is not None:
            try:
                piece = unpack.decompress(piece, limit + 1 - len(body))
            except zlib.error as error:
                raise FileRefused("damaged", str(error)) from None
        body += piece
        if max(len(body), packed) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> FileRefused:
    return FileRefused("too large", f"it has more than {limit:,} bytes")
