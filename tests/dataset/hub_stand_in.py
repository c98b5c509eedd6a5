"""What of the Hugging Face Hub's HTTP a push needs, on this machine: repositories with files, commits and tags."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_a-token-for-tests"


@dataclass
class Repository:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[dict[str, Any]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def head(self) -> str:
        return f"{len(self.commits):040x}"


class Hub(ThreadingHTTPServer):
    """`address` is its endpoint; `asked` every request that it met, as `METHOD path`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def hub() -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def answer(self, body: bytes) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.say(401, {"error": "Invalid username or password."})
        match [self.command, *path.strip("/").split("/")]:
            case ["POST", "api", "validate-yaml"]:
                return self.say(200, {"errors": [], "warnings": []})
            case ["POST", "api", "repos", "create"]:
                return self.create(json.loads(body))
            case [_, "api", "datasets", owner, name, *rest] if f"{owner}/{name}" in self.server.repositories:
                return self.of_repository(f"{owner}/{name}", rest, body)
        return self.say(404, {"error": "not found"})

    def create(self, asked: dict[str, Any]) -> None:
        named = f"{asked['organization']}/{asked['name']}"
        assert asked["type"] == "dataset"
        there = named in self.server.repositories
        if not there:
            private = asked.get("visibility", "private" if asked.get("private") else "public") == "private"
            self.server.repositories[named] = Repository(private)
        self.say(409 if there else 200, {"url": f"{self.server.address}/datasets/{named}"})

    def of_repository(self, named: str, rest: list[str], body: bytes) -> None:
        one = self.server.repositories[named]
        match rest:
            case [] | ["revision", _]:
                self.say(200, {"id": named, "private": one.private, "sha": one.head, "siblings": []})
            case ["refs"]:
                tags = [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": at} for tag, at in one.tags.items()]
                main = {"name": "main", "ref": "refs/heads/main", "targetCommit": one.head}
                self.say(200, {"branches": [main], "converts": [], "tags": tags, "pullRequests": []})
            case ["tree", _]:
                files = [{"type": "file", "path": path, "size": 1, "oid": "0" * 40} for path in one.files]
                self.say(200, files)
            case ["preupload", _]:
                asked = json.loads(body)["files"]
                modes = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in asked]
                self.say(200, {"files": modes})
            case ["commit", _]:
                for line in map(json.loads, body.decode().splitlines()):
                    value = line["value"]
                    if line["key"] == "header":
                        one.commits.append(value)
                    elif line["key"] == "file":
                        one.files[value["path"]] = base64.b64decode(value["content"])
                    elif line["key"] == "deletedFile":
                        del one.files[value["path"]]
                url = f"{self.server.address}/datasets/{named}/commit/{one.head}"
                self.say(200, {"success": True, "commitUrl": url, "commitOid": one.head, "hookOutput": ""})
            case ["tag", revision]:
                one.tags[json.loads(body)["tag"]] = revision
                self.say(200, {})
            case _:
                self.say(404, {"error": "not found"})

    def say(self, code: int, told: Any) -> None:
        body = json.dumps(told).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        return None
