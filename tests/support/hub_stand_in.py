"""What of the Hugging Face Hub's HTTP a push needs, on this machine: repositories with files, commits and tags, and the
store of large files behind them (Git LFS, in one part or several). Parquet is large, as on the Hub."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

TOKEN = "hf_a-token-for-tests"
PART = 8_000  # bytes: what is larger is sent in parts


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
    """`address` is its endpoint; `asked` every request that it met, as `METHOD path`; `large` the store of large files:
    SHA-256 -> content."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.asked: list[str] = []
        self.large: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.broken = False  # the store of large files refuses what it is sent

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def hub() -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
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

    def do_PUT(self) -> None:
        """A large file, or a part of one, at an address that the batch gave: it needs no token."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(f"PUT {self.path}")
        if self.server.broken:
            return self.say(403, {"error": "the store is full"})
        match self.path.strip("/").split("/"):
            case ["large", digest]:
                self.keep(digest, body)
            case ["large", digest, number]:
                self.server.parts.setdefault(digest, {})[int(number)] = body
        return self.say(200, {}, {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})

    def keep(self, digest: str, content: bytes) -> None:
        assert hashlib.sha256(content).hexdigest() == digest
        self.server.large[digest] = content

    def answer(self, body: bytes) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        match path.strip("/").split("/"):
            case ["large", digest, "complete"]:
                parts = self.server.parts.pop(digest)
                told = json.loads(body)
                assert (told["oid"], [part["partNumber"] for part in told["parts"]]) == (digest, sorted(parts))
                self.keep(digest, b"".join(parts[number] for number in sorted(parts)))
                return self.say(200, {})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.say(401, {"error": "Invalid username or password."})
        match [self.command, *path.strip("/").split("/")]:
            case ["POST", "api", "validate-yaml"]:
                return self.say(200, {"errors": [], "warnings": []})
            case ["POST", "api", "repos", "create"]:
                return self.create(json.loads(body))
            case ["POST", "datasets", _, _, "info", "lfs", "objects", "batch"]:
                return self.batch(json.loads(body))
            case [_, "api", "datasets", owner, name, *rest] if f"{owner}/{name}" in self.server.repositories:
                return self.of_repository(f"{owner}/{name}", rest, body)
        return self.say(404, {"error": "not found"})

    def batch(self, asked: dict[str, Any]) -> None:
        """Where each large file goes; nothing for one that is there."""
        objects: list[dict[str, Any]] = []
        for item in asked["objects"]:
            at = f"{self.server.address}/large/{item['oid']}"
            if item["oid"] in self.server.large:
                objects.append(item)
            elif item["size"] <= PART:
                objects.append({**item, "actions": {"upload": {"href": at}}})
            else:
                numbers = range(1, -(-item["size"] // PART) + 1)
                header = {"chunk_size": str(PART), **{f"{number:05d}": f"{at}/{number}" for number in numbers}}
                objects.append({**item, "actions": {"upload": {"href": f"{at}/complete", "header": header}}})
        self.say(200, {"transfer": "basic", "objects": objects})

    def create(self, asked: dict[str, Any]) -> None:
        named = f"{asked['organization']}/{asked['name']}"
        assert asked["type"] == "dataset"
        there = named in self.server.repositories
        if not there:
            private = asked.get("visibility", "private" if asked.get("private") else "public") == "private"
            self.server.repositories[named] = Repository(private)
        self.say(409 if there else 200, {"url": f"{self.server.address}/datasets/{named}"})

    def of_repository(self, named: str, rest: list[str], body: bytes) -> None:
        repository = self.server.repositories[named]
        match rest:
            case [] | ["revision", _]:
                self.say(200, {"id": named, "private": repository.private, "sha": repository.head, "siblings": []})
            case ["refs"]:
                tags = [
                    {"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": at} for tag, at in repository.tags.items()
                ]
                main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repository.head}
                self.say(200, {"branches": [main], "converts": [], "tags": tags, "pullRequests": []})
            case ["tree", _]:
                files = [{"type": "file", "path": path, "size": 1, "oid": "0" * 40} for path in repository.files]
                self.say(200, files)
            case ["preupload", _]:
                asked = json.loads(body)["files"]
                kinds = ["lfs" if file["path"].endswith(".parquet") else "regular" for file in asked]
                modes = [
                    {"path": file["path"], "uploadMode": kind, "shouldIgnore": False}
                    for file, kind in zip(asked, kinds, strict=True)
                ]
                self.say(200, {"files": modes})
            case ["commit", _]:
                for line in map(json.loads, body.decode().splitlines()):
                    value = line["value"]
                    if line["key"] == "header":
                        repository.commits.append(value)
                    elif line["key"] == "file":
                        repository.files[value["path"]] = base64.b64decode(value["content"])
                    elif line["key"] == "lfsFile":
                        repository.files[value["path"]] = self.server.large[value["oid"]]
                    elif line["key"] == "deletedFile":
                        del repository.files[value["path"]]
                url = f"{self.server.address}/datasets/{named}/commit/{repository.head}"
                self.say(200, {"success": True, "commitUrl": url, "commitOid": repository.head, "hookOutput": ""})
            case ["tag", revision]:
                repository.tags[json.loads(body)["tag"]] = revision
                self.say(200, {})
            case _:
                self.say(404, {"error": "not found"})

    def say(self, code: int, told: Any, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        body = json.dumps(told).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        return None
