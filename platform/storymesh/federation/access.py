"""The servers that the operator of a mesh allows contracts to name: contract authors are not operators."""

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from storymesh.errors import SourceUnreadable
from storymesh.federation.server import Server

ChooseColumns = Callable[[Sequence[str]], Sequence[str]]
"""Returns which of the columns of a table are read, in the order of the contract. Raises SourceUnreadable."""

IDLE_TIMEOUT_S = 600.0
CONNECT_S = 15


@dataclass(frozen=True)
class ServerAccess:
    """Paths of a server are relative to `folder`, the domain's own, and may leave it only for what `read` lists.

    `hosts` are the patterns of hosts that may be connected to; None: all. A server that says nothing for
    `idle_timeout_s` seconds is given up.
    """

    folder: Path
    read: tuple[Path, ...] = ()
    hosts: tuple[str, ...] | None = None
    idle_timeout_s: float = IDLE_TIMEOUT_S

    def path(self, server: Server, written: str) -> Path:
        """Return the path that a server names. Raises SourceUnreadable for one that is not allowed."""
        path = self.folder / written
        # Links are followed before: they lead wherever they like.
        if not any(path.resolve().is_relative_to(root.resolve()) for root in (self.folder, *self.read)):
            words = f"{server.at}{server.words} leads out of the domain's folder"
            hint = f"let it be read: servers: {{read: [{written}]}} in mesh.yaml, a path relative to the mesh"
            raise SourceUnreadable(words, hint)
        return path

    def require_host(self, server: Server, host: str, port: int | str | None) -> None:
        """Raise SourceUnreadable for a host that the operator does not allow."""
        names = (host, f"{host}:{port}") if port else (host,)
        if self.hosts is not None and not any(fnmatch.fnmatchcase(name, p) for name in names for p in self.hosts):
            words = f"{server.at}{server.words}: {host} is not among the hosts that mesh.yaml lets servers have"
            raise SourceUnreadable(words, f"add it: servers: {{hosts: [{host}]}}")
