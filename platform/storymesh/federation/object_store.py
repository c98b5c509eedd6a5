"""Where the files of a server lie: a folder of this machine, or a bucket of S3 with this server's own credentials."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from storymesh.errors import StorymeshError
from storymesh.federation.access import CONNECT_S, ServerAccess
from storymesh.federation.relation import Relation

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_PLACEHOLDER = re.compile(r"\{(?:model|table|schema)\}")
_UNREACHABLE = (
    *("network_connection", "timeout", "timed out", "slow_down", "service_unavailable", "curlcode"),
    *("error sending request", "connection refused", "operation timed out"),
)
_REFUSED = ("access_denied", "invalid_access_key", "invalid_signature", "signature", "unrecognized_client", "forbidden")


@dataclass(frozen=True)
class ObjectStore:
    """The place that a server and a table of it name."""

    relation: Relation
    access: ServerAccess

    @property
    def is_local(self) -> bool:
        return self.relation.server.type == "local"

    @cached_property
    def location(self) -> str:
        """The path on this machine, or the address in the bucket, that the files are at: one, a folder, or a pattern.

        `{model}` in the location of the server stands for the table; without it a table is a path below.
        """
        server, table = self.relation.server, self.relation.table
        written = server.required("path" if self.is_local else "location")
        if _PLACEHOLDER.search(written):
            return _PLACEHOLDER.sub((table or "").replace("\\", r"\\"), written)
        if table is not None and ".." in Path(table).parts:
            raise self.relation.unreadable("the path leads out of the server's own", "name a path below it")
        return f"{written.rstrip('/')}/{table}" if table else written

    @cached_property
    def path(self) -> str:
        """The location as the file system has it."""
        if self.is_local:
            return str(self.access.path(self.relation.server, self.location).resolve())
        parts = urlsplit(self.location, allow_fragments=False)
        if parts.scheme not in ("s3", "s3a") or not parts.netloc:
            raise self.relation.unreadable(f"'{self.location}' is no address of a bucket", "write s3://bucket/path")
        return f"{parts.netloc}{parts.path}".rstrip("/")

    @cached_property
    def file_system(self) -> "FileSystem":
        import pyarrow.fs as fs

        if self.is_local:
            return fs.LocalFileSystem()
        keys = self.s3_keys
        named = {"access_key": "key_id", "secret_key": "secret", "session_token": "token"}
        endpoint = urlsplit(self.endpoint) if self.endpoint else None
        return fs.S3FileSystem(
            **{name: keys[key] for name, key in named.items() if keys.get(key)},
            anonymous=not keys and not self.uses_environment,
            region=self.region,
            connect_timeout=CONNECT_S,
            request_timeout=self.access.idle_timeout_s,
            **({"endpoint_override": endpoint.netloc, "scheme": endpoint.scheme} if endpoint else {}),
        )

    @cached_property
    def endpoint(self) -> str | None:
        """The address of the S3, where it is not Amazon's. Raises SourceUnreadable for one that nobody allows."""
        written = self.relation.server.field("endpointUrl") or _environment_endpoint()
        if written:
            parts = urlsplit(written)
            self.access.require_host(self.relation.server, parts.hostname or written, parts.port)
        return written

    @property
    def region(self) -> str | None:
        region = self.relation.server.field("region") or os.environ.get("AWS_REGION")
        return region or os.environ.get("AWS_DEFAULT_REGION") or ("us-east-1" if self.endpoint else None)

    @property
    def s3_keys(self) -> dict[str, str]:
        """The credentials of this server, by `key_id`, `secret` and `token`; none where it has none of its own."""
        server = self.relation.server
        found = {
            "key_id": server.credential("ACCESS_KEY_ID"),
            "secret": server.credential("SECRET_ACCESS_KEY"),
            "token": server.credential("SESSION_TOKEN"),
        }
        return {name: value for name, value in found.items() if value}

    @property
    def uses_environment(self) -> bool:
        """True where the credentials of the environment are for this server: Amazon's own, or that of the environment.

        A contract may name any other endpoint, which would learn who is known by them."""
        written = self.relation.server.field("endpointUrl")
        return not self.s3_keys and (written is None or written == _environment_endpoint())

    @contextmanager
    def translated_errors(self) -> Iterator[None]:
        """Raise what a file system says as an error that says what to do."""
        try:
            yield
        except FileNotFoundError:
            raise self.relation.unreadable("there is no such file", "look at the location of the server") from None
        except OSError as error:
            raise self.translate(str(error)) from None

    def translate(self, words: str) -> StorymeshError:
        """Return the error of a bucket in other words, for what a library says about it."""
        server, lower = self.relation.server, words.lower()
        plain = words.split(" during ")[0] if "AWS Error" in words else words
        if any(phrase in lower.replace(" ", "_") or phrase in lower for phrase in _REFUSED):
            names = f"{server.variable('ACCESS_KEY_ID')} and {server.variable('SECRET_ACCESS_KEY')}"
            return self.relation.unreadable(f"it refuses access: {plain}", f"credentials are read from {names}")
        if "no_such_bucket" in lower or "nosuchbucket" in lower:
            return self.relation.unreadable("there is no such bucket", "look at the location of the server")
        if any(phrase in lower for phrase in _UNREACHABLE):
            return self.relation.unreachable(plain)
        return self.relation.unreadable(plain)


def _environment_endpoint() -> str | None:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
