"""Files behind addresses: what a server may do, and where no connection is made."""

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from storymesh.files.reading.reading import FileLimits, Refused
from storymesh.files.reading.web import Unchanged, WebFile, fetch_many, require_public

LIMITS = FileLimits(bytes=100_000, seconds=600)
IMPATIENT = FileLimits(bytes=100_000, seconds=1.5)
LOOPBACK = ("127.0.0.1/32",)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        name = self.path.strip("/").partition("/")[0].replace("-", "_")
        answer = getattr(self, f"give_{name}", None)
        try:
            if answer is None:
                self.give(404, b"")
            else:
                answer()
        except OSError:  # whoever asked has heard enough
            self.close_connection = True

    def give(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for header, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(header.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def give_good(self) -> None:
        if self.headers.get("If-None-Match") == '"one"':
            self.give(304, b"")
        else:
            self.give(200, b"a picture", ETag='"one"')

    def give_dated(self) -> None:
        self.give(
            200, self.headers.get("If-Modified-Since", "").encode(), Last_Modified="Tue, 12 Mar 2024 07:30:00 GMT"
        )

    def give_busy(self) -> None:
        self.give(503, b"")

    def give_moved(self) -> None:
        self.give(302, b"", Location="/good")

    def give_round(self) -> None:
        self.give(302, b"", Location="/round")

    def give_to(self) -> None:
        self.give(302, b"", Location=self.path.removeprefix("/to/"))

    def give_large(self) -> None:
        self.give(200, b"x" * 100_001)

    def give_endless(self) -> None:
        self.give(200, b"", Content_Length=str(10**12))
        while True:
            self.wfile.write(bytes(10_000))

    def give_unsized(self) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(bytes(10_000))

    def give_packed(self) -> None:
        self.give(200, gzip.compress(b"a picture"), Content_Encoding="gzip")

    def give_bomb(self) -> None:
        self.give(200, gzip.compress(bytes(50_000_000)), Content_Encoding="gzip")

    def give_odd(self) -> None:
        self.give(200, b"?", Content_Encoding="br")

    def give_hang(self) -> None:
        time.sleep(3)

    def give_drip(self) -> None:
        self.wfile.write(b"HTTP/1.0 200 OK\r\nServer: ")
        for _ in range(30):
            self.wfile.write(b"s")
            time.sleep(0.1)

    def give_cut(self) -> None:
        self.give(200, b"half", Content_Length="8")
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadingHTTPServer]:
    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.daemon_threads = True
    found.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
    yield found
    found.shutdown()


def outcome(result: WebFile | Unchanged | Refused) -> str:
    if isinstance(result, Refused):
        return result.reason
    return result.content.decode() if isinstance(result, WebFile) else "unchanged"


def test_every_address_ends_with_its_file_or_its_reason(server: ThreadingHTTPServer) -> None:
    base = f"http://127.0.0.1:{server.server_port}"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refusing = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        expected = {
            f"{base}/good": "a picture",
            f"{base}/moved": "a picture",
            f"{base}/packed": "a picture",
            f"{base}/missing": "http 404",
            f"{base}/busy": "http 503",
            f"{base}/round": "too many redirects",
            f"{base}/large": "too large",
            f"{base}/endless": "too large",
            f"{base}/unsized": "too large",
            f"{base}/bomb": "too large",
            f"{base}/odd": "damaged",
            f"{base}/cut": "no connection",
            refusing: "no connection",
            f"{base}/to/http://169.254.169.254/latest": "address not allowed",
            f"{base}/to/http://[::1]:{server.server_port}/good": "address not allowed",
            f"{base}/to/file:///etc/passwd": "address not allowed",
            "ftp://127.0.0.1/x": "address not allowed",
            "no address": "address not allowed",
            "http://": "address not allowed",
            "http://[fe80::1%25lo]/": "address not allowed",
        }
        results = dict(fetch_many(((address, address, None) for address in expected), LIMITS, LOOPBACK))
    assert {address: outcome(result) for address, result in results.items()} == expected


def test_an_address_that_answers_too_slowly_is_left(server: ThreadingHTTPServer) -> None:
    names = ("hang", "drip")
    addresses = [(name, f"http://127.0.0.1:{server.server_port}/{name}", None) for name in names]
    results = {name: outcome(result) for name, result in fetch_many(addresses, IMPATIENT, LOOPBACK)}
    assert results == dict.fromkeys(names, "timeout")


def test_an_unchanged_file_is_not_sent_again(server: ThreadingHTTPServer) -> None:
    base = f"http://127.0.0.1:{server.server_port}"
    names = ("good", "dated", "packed")
    first = dict(fetch_many(((name, f"{base}/{name}", None) for name in names), LIMITS, LOOPBACK))
    tokens = {name: found.token for name, found in first.items() if isinstance(found, WebFile)}
    assert tokens["packed"] is None
    again = dict(fetch_many(((name, f"{base}/{name}", tokens[name]) for name in names), LIMITS, LOOPBACK))
    assert again["good"] == Unchanged()
    assert outcome(again["dated"]) == "Tue, 12 Mar 2024 07:30:00 GMT", "it is asked with what the server said"


@pytest.mark.parametrize("written", ["localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::ffff:127.0.0.1]"])
def test_this_machine_is_reached_under_none_of_its_names(written: str, server: ThreadingHTTPServer) -> None:
    server.asked.clear()  # type: ignore[attr-defined]
    address = f"http://{written}:{server.server_port}/good"
    [(_, found)] = fetch_many([(1, address, None)], LIMITS)
    assert isinstance(found, Refused) and found.reason in ("address not allowed", "no connection")
    assert not server.asked  # type: ignore[attr-defined]


def test_a_name_that_leads_to_a_private_network_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: tried.append(address))
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    [(_, result)] = fetch_many([(1, "http://photos.example/1.jpg", None)], LIMITS)
    assert isinstance(result, Refused) and result.reason == "address not allowed" and not result.lasting
    assert not [address for address in tried if address[0] == "10.0.0.7"]


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("169.254.169.254", False),
        ("192.168.1.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("2130706433", False),
        ("127.1", False),
        ("localhost", False),
    ],
)
def test_only_addresses_of_the_public_internet_are_reached(address: str, public: bool) -> None:
    if public:
        require_public(address)
    else:
        with pytest.raises(OSError, match="is no address of the public internet"):
            require_public(address)


def test_abandoned_requests_end(server: ThreadingHTTPServer) -> None:
    base = f"http://127.0.0.1:{server.server_port}"
    results = fetch_many(((number, f"{base}/good", None) for number in range(1000)), LIMITS, LOOPBACK)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "web files"]
