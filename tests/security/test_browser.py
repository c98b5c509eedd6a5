"""The browser: pages of other sites start nothing, read nothing and frame nothing while `storymesh ui` runs."""

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from storymesh.orchestration.assets.metadata import records_markdown
from storymesh.orchestration.browser_guard import HEADERS, BrowserGuard
from storymesh.orchestration.code_locations import is_below_unguarded_server

PORT = 3000
OURS = f"127.0.0.1:{PORT}"
MUTATION = 'mutation { launchRun(executionParams: {mode: "default"}) { __typename } }'
JSON = {"content-type": "application/json"}
EVIL = "http://evil.example"


@dataclass
class Request:
    """A request as a browser or a program sends it; `host` None: none is named."""

    method: str = "POST"
    path: str = "/graphql"
    host: str | None = OURS
    headers: Mapping[str, str] = field(default_factory=dict)
    server: tuple[str, int] | None = ("127.0.0.1", PORT)
    kind: str = "http"
    scheme: str = "http"
    twice: str = ""


def answer(request: Request, hosts: frozenset[str] = frozenset()) -> int:
    """The status of the answer: 200 where the application behind the guard was reached (101 of a web socket)."""
    sent: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", request.host.encode("latin-1"))] if request.host is not None else []
    headers += [(name.encode(), value.encode("latin-1")) for name, value in request.headers.items()]
    headers += [pair for pair in headers if pair[0].decode() == request.twice]
    scope = {
        "type": request.kind,
        "method": request.method,
        "path": request.path,
        "headers": headers,
        "server": request.server,
        "scheme": request.scheme,
    }
    asyncio.run(BrowserGuard(application, hosts)(scope, lambda: asyncio.sleep(0, {}), send))
    if request.kind == "websocket":
        return {"websocket.accept": 101, "websocket.close": 403}[sent[0]["type"]]
    names = {name for name, _ in sent[0]["headers"]}
    assert {b"x-frame-options", b"content-security-policy", b"cross-origin-resource-policy"} <= names
    return int(sent[0]["status"])


REFUSED = {
    "a query by GET": Request("GET"),
    "a query by GET with a foreign referrer": Request("GET", headers={"referer": f"{EVIL}/"}),
    "a query by HEAD": Request("HEAD"),
    "a query by PUT": Request("PUT", headers=JSON),
    "a query by GET with a slash at its end": Request("GET", "/graphql/"),
    "a query by GET below a prefix": Request("GET", "/mesh/graphql"),
    "a form": Request(headers={"content-type": "application/x-www-form-urlencoded"}),
    "a form with a file": Request(headers={"content-type": "multipart/form-data; boundary=x"}),
    "a plain text": Request(headers={"content-type": "text/plain"}),
    "a plain text that mentions JSON": Request(headers={"content-type": "text/plain; application/json"}),
    "a plain text with JSON as its charset": Request(headers={"content-type": "text/plain;charset=application/json"}),
    "no content type at all": Request(),
    "a query as application/graphql": Request(headers={"content-type": "application/graphql"}),
    "a beacon": Request(headers={"content-type": "text/plain;charset=UTF-8", "origin": EVIL}),
    "JSON from another site": Request(headers={**JSON, "origin": EVIL}),
    "JSON from a site whose name begins like ours": Request(headers={**JSON, "origin": f"http://{OURS}.evil.example"}),
    "JSON from a site with our name as its user": Request(headers={**JSON, "origin": f"http://{OURS}@evil.example"}),
    "JSON from a frame without an origin": Request(headers={**JSON, "origin": "null"}),
    "JSON from another port of this machine": Request(headers={**JSON, "origin": "http://127.0.0.1:8080"}),
    "JSON from another name of this machine": Request(headers={**JSON, "origin": f"http://localhost:{PORT}"}),
    "JSON from an extension": Request(headers={**JSON, "origin": "chrome-extension://abcdef"}),
    "JSON from a file": Request(headers={**JSON, "origin": "file://"}),
    "an empty origin": Request(headers={**JSON, "origin": ""}),
    "JSON with a foreign referrer alone": Request(headers={**JSON, "referer": f"{EVIL}/x"}),
    "two origins": Request(headers={**JSON, "origin": f"http://{OURS}"}, twice="origin"),
    "two hosts": Request(headers=JSON, twice="host"),
    "two content types": Request(headers=JSON, twice="content-type"),
    "a name that leads here (DNS rebinding)": Request(host=f"evil.example:{PORT}", headers=JSON),
    "the same with a fitting origin": Request(
        host=f"evil.example:{PORT}", headers={**JSON, "origin": f"http://evil.example:{PORT}"}
    ),
    "a name that begins with our address": Request(host="127.0.0.1.evil.example", headers=JSON),
    "a name that ends like localhost": Request(host="evil-localhost", headers=JSON),
    "a name below localhost": Request(host="evil.localhost", headers=JSON),
    "an address with a user": Request(host=f"{OURS}@evil.example", headers=JSON),
    "an address of another machine": Request(host="192.0.2.7", headers=JSON),
    "the address of all interfaces": Request(host=f"0.0.0.0:{PORT}", headers=JSON),
    "our address as one number": Request(host="2130706433", headers=JSON),
    "our address in octal": Request(host="0177.0.0.1", headers=JSON),
    "our address cut short": Request(host="127.1", headers=JSON),
    "an empty host": Request(host="", headers=JSON),
    "no host": Request(host=None, headers=JSON),
    "a host with a space": Request(host=f"{OURS} evil.example", headers=JSON),
    "a script from another site": Request(
        "GET", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}
    ),
    "a page of ours in a frame of another site": Request(
        "GET",
        "/runs",
        headers={
            "accept": "text/html",
            "sec-fetch-site": "cross-site",
            "sec-fetch-mode": "navigate",
            "sec-fetch-dest": "iframe",
        },
    ),
    "a log read by another site": Request(
        "GET",
        "/logs/x",
        headers={"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
    ),
    "a link of another site to a query": Request(
        "GET",
        headers={
            "accept": "text/html",
            "sec-fetch-site": "cross-site",
            "sec-fetch-mode": "navigate",
            "sec-fetch-dest": "document",
        },
    ),
    "a form of another site that is followed": Request(
        headers={
            **JSON,
            "sec-fetch-site": "cross-site",
            "sec-fetch-mode": "navigate",
            "sec-fetch-dest": "document",
        }
    ),
    "a report of an asset as a form": Request(
        path="/report_asset_materialization/x", headers={"content-type": "application/x-www-form-urlencoded"}
    ),
    "a report of an asset without a body": Request(path="/report_asset_materialization/x"),
    "a report of a check from another site": Request(path="/report_asset_check/x", headers={**JSON, "origin": EVIL}),
    "a web socket from another site": Request("GET", kind="websocket", headers={"origin": EVIL}),
    "a web socket from another port": Request("GET", kind="websocket", headers={"origin": "http://127.0.0.1:8080"}),
    "a web socket from a frame without an origin": Request("GET", kind="websocket", headers={"origin": "null"}),
    "a web socket of another site that names no origin": Request(
        "GET", kind="websocket", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "websocket"}
    ),
    "a web socket of another port that names no origin": Request(
        "GET", kind="websocket", headers={"sec-fetch-site": "same-site"}
    ),
    "a web socket with two origins": Request(
        "GET", kind="websocket", headers={"origin": f"http://{OURS}"}, twice="origin"
    ),
    "another service that the default port of https hides": Request(
        host="localhost:80", headers={**JSON, "origin": "http://localhost:443"}
    ),
    "the service at the port of https beside ours at that of http": Request(
        host="localhost:80", headers={**JSON, "origin": "https://localhost:443"}
    ),
    "the same without ports": Request(host="localhost", headers={**JSON, "origin": "https://localhost"}),
    "the service at the port of http beside ours at that of https": Request(
        host="localhost", scheme="https", headers={**JSON, "origin": "http://localhost"}
    ),
    "the port of http named under https": Request(
        host="localhost:443", scheme="https", headers={**JSON, "origin": "https://localhost:80"}
    ),
    "a referrer at the port of https": Request(host="localhost:80", headers={**JSON, "referer": "https://localhost/x"}),
    "a web socket of the service at the port of https": Request(
        "GET", kind="websocket", scheme="ws", host="localhost:80", headers={"origin": "https://localhost"}
    ),
    "a web socket of http where ours is encrypted": Request(
        "GET", kind="websocket", scheme="wss", host="localhost", headers={"origin": "http://localhost"}
    ),
    "an origin with a port that is none": Request(headers={**JSON, "origin": "http://127.0.0.1:99999999"}),
    "an origin with an empty port": Request(host="localhost:80", headers={**JSON, "origin": "http://localhost:"}),
    "queries in the address": Request("GET", path="/graphql", headers={"accept": "application/json"}),
    "a batch by PATCH": Request("PATCH", headers=JSON),
    "a deletion": Request("DELETE", headers=JSON),
    "a query by a method that nobody knows": Request("FOO"),
    "a file with its query (GraphQL multipart)": Request(
        headers={"content-type": "multipart/form-data; boundary=application/json"}
    ),
    "two kinds in one content type": Request(headers={"content-type": "application/json, text/plain"}),
    "our name with a dot at its end": Request(host=f"localhost.:{PORT}", headers=JSON),
    "our address with a dot at its end": Request(host=f"127.0.0.1.:{PORT}", headers=JSON),
    "our address with a zone": Request(host=f"[::1%25lo]:{PORT}", headers=JSON),
    "our address in IPv6 without brackets": Request(host="::1", headers=JSON),
    "our name with a port that is none": Request(host="localhost:3000x", headers=JSON),
    "our name in wide letters": Request(host="ｌocalhost".encode().decode("latin-1"), headers=JSON),
    "a web socket by another name": Request("GET", kind="websocket", host="evil.example"),
    "a web socket by another name with a fitting origin": Request(
        "GET", kind="websocket", host="evil.example", headers={"origin": EVIL}
    ),
}

ANSWERED = {
    "our own page": Request(headers={**JSON, "origin": f"http://{OURS}", "sec-fetch-site": "same-origin"}),
    "our own page by another name": Request(
        host=f"localhost:{PORT}", headers={**JSON, "origin": f"http://localhost:{PORT}"}
    ),
    "our own page by IPv6": Request(host=f"[::1]:{PORT}", headers={**JSON, "origin": f"http://[::1]:{PORT}"}),
    "a program": Request(headers={"content-type": "application/json; charset=utf-8"}),
    "a page that somebody opens": Request("GET", "/", headers={"accept": "text/html", "sec-fetch-site": "none"}),
    "the page for queries": Request("GET", headers={"accept": "text/html,*/*"}),
    "a link in a message": Request(
        "GET",
        "/runs/x",
        headers={
            "accept": "text/html",
            "sec-fetch-site": "cross-site",
            "sec-fetch-mode": "navigate",
            "sec-fetch-dest": "document",
        },
    ),
    "a check of health": Request("GET", "/server_info"),
    "a check of health by the machine's own address": Request(
        "GET", "/server_info", host="10.1.2.3:80", server=("10.1.2.3", 80)
    ),
    "our own page at the port of http": Request(host="localhost", headers={**JSON, "origin": "http://localhost:80"}),
    "our own page at the port of https": Request(
        host="localhost:443", scheme="https", headers={**JSON, "origin": "https://localhost"}
    ),
    "our own encrypted web socket": Request(
        "GET", kind="websocket", scheme="wss", host="localhost", headers={"origin": "https://localhost"}
    ),
    "our own web socket": Request("GET", kind="websocket", headers={"origin": f"http://{OURS}"}),
    "the web socket of a program": Request("GET", kind="websocket"),
}


@pytest.mark.parametrize("attack", REFUSED)
def test_it_is_refused(attack: str) -> None:
    assert answer(REFUSED[attack]) in (400, 403, 405, 415, 421)


@pytest.mark.parametrize("use", ANSWERED)
def test_it_is_answered(use: str) -> None:
    assert answer(ANSWERED[use]) in (101, 200)


def test_no_text_in_the_interface_loads_anything_from_another_machine() -> None:
    """A picture in the Markdown of a team or an author would tell its server what a template writes in its address."""
    policy = dict(HEADERS)[b"content-security-policy"].decode()
    allowed = {part.split()[0]: part.split()[1:] for part in policy.split("; ")}
    for kind in ("img-src", "media-src", "font-src", "frame-src", "form-action"):
        assert set(allowed[kind]) <= {"'self'", "data:", "blob:"} and "'self'" in allowed[kind]


@pytest.mark.parametrize(
    "text",
    [
        "![](https://evil.example/?who=Ada)", "[click](https://evil.example)", "<img src=https://evil.example>",
        "[x]: https://evil.example", "| a |\n| - |", "```\n# head", "> > quote", "**bold**", "$x$", "&lt;b&gt;",
        "<!-- hidden -->", "\u2028# head", "\r# head",
    ],
)  # fmt: skip
def test_a_story_is_no_markup_in_the_interface(text: str) -> None:
    shown = records_markdown([{"id": f"report/{text}", "case_id": text, "text": text, "at": None}])
    plain = re.sub(r"\\.|&\w+;", "", shown.replace("### ", "", 1).replace("**text**", "", 1))
    assert not re.search(r"[`*\[\]<|$!#]|^>.*>", plain, re.MULTILINE), shown
    assert all(line.startswith(("### ", "**text**", "> ")) or not line for line in shown.split("\n"))


def test_a_name_in_the_settings_is_answered_also_behind_a_proxy() -> None:
    hosts = frozenset({"mesh.example"})
    origin = {**JSON, "origin": "https://mesh.example"}
    assert answer(Request(host="mesh.example", headers=origin), hosts) == 200
    assert answer(Request(host=OURS, headers=origin), hosts) == 200
    assert answer(Request(host="mesh.example", headers={**JSON, "origin": EVIL}), hosts) == 403
    assert answer(Request(host=OURS, headers={**JSON, "origin": "https://mesh.example:8443"}), hosts) == 403
    assert answer(Request(host=OURS, headers={**JSON, "origin": "https://mesh.example:80"}), hosts) == 403
    by_port = frozenset({"mesh.example:8443", "[2001:db8::1]:8443"})
    assert answer(Request(host=OURS, headers={**JSON, "origin": "https://mesh.example:8443"}), by_port) == 200
    assert answer(Request(host="[2001:db8::1]:8443", headers=JSON), by_port) == 200
    assert answer(Request(host=OURS, headers=origin), by_port) == 403
    assert answer(Request(host="mesh.example.evil.example", headers=origin), hosts) == 421


PYTHON = "/usr/bin/python3"
DEV = [PYTHON, "/venv/bin/dagster", "dev", "-h", "0.0.0.0"]
GUARDED = [PYTHON, "-m", "storymesh.orchestration.guarded_dagster", "dev"]
SERVERS: dict[str, tuple[bool, list[list[str]]]] = {
    "dagster dev": (True, [DEV]),
    "dagster dev as a module": (True, [[PYTHON, "-m", "dagster", "dev"]]),
    "dagster-webserver": (True, [[PYTHON, "/venv/bin/dagster-webserver", "-p", "3000"]]),
    "its module": (True, [[PYTHON, "-m", "dagster_webserver", "--port", "3000"]]),
    "below a shell and a code server": (True, [[PYTHON, "-m", "dagster", "api", "grpc"], ["sh", "-c", "x"], DEV]),
    "storymesh ui": (False, [[PYTHON, "-m", "dagster", "api", "grpc"], DEV, GUARDED]),
    "the guarded web server": (False, [[PYTHON, "-m", "storymesh.orchestration.guarded_dagster", "webserver"]]),
    "storymesh run": (False, [[PYTHON, "/venv/bin/storymesh", "run"]]),
    "a code server": (False, [[PYTHON, "/venv/bin/dagster", "code-server", "start", "dev"]]),
    "the daemon": (False, [[PYTHON, "-m", "dagster._daemon", "run"]]),
    "a validation": (False, [[PYTHON, "/venv/bin/dagster", "definitions", "validate"]]),
    "nothing": (False, []),
}


@pytest.mark.parametrize("server", SERVERS)
def test_a_web_server_without_the_guard_is_noticed_by_what_it_starts(server: str, tmp_path: Path) -> None:
    expected, commands = SERVERS[server]
    for number, words in enumerate(commands, 100):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "cmdline").write_bytes("\0".join([*words, ""]).encode())
        (tmp_path / str(number) / "stat").write_text(f"{number} (a) b) S {number + 1} 1 1", encoding="utf-8")
    assert is_below_unguarded_server(100, tmp_path) is expected


def test_a_process_of_this_machine_is_looked_at() -> None:
    assert is_below_unguarded_server(os.getpid()) is False
