"""The model addresses that a narrative may name: running it sends them prompts and a key.

An address is read by one strict pattern, so that no library below can read another host in it. A host has to be allowed
by the mesh. This machine always is: what is sent there leaves nobody's hands.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

_HOST = r"(?P<host>[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])"
_PORT = r"(?::(?P<port>[0-9]{1,5}))?"
_ADDRESS = re.compile(rf"(?P<scheme>https?)://{_HOST}{_PORT}(?:/[a-z0-9._~/-]*)?", re.IGNORECASE)
_ALLOWED = re.compile(rf"(?:(?P<scheme>https?)://)?{_HOST}{_PORT}", re.IGNORECASE)
_STANDARD_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class _Place:
    scheme: str | None
    host: str
    port: int | None

    @property
    def on_this_machine(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    def allows(self, other: "_Place") -> bool:
        """Return True if this entry of a list allows an address: without a port every port, and without a scheme only
        what is encrypted."""
        same_port = self.port is None or self.port == other.port
        return self.host == other.host and same_port and (self.scheme or "https") == other.scheme


def is_on_this_machine(address: str | None) -> bool:
    """Return True for an address of a server on this machine; what is sent there leaves nobody's hands."""
    match = _ADDRESS.fullmatch(address) if address is not None else None
    return match is not None and _place(match).on_this_machine


def allowed_host_fault(entry: str) -> str | None:
    """Return why `entry` is no host that a mesh can allow, None if it is one."""
    if _ALLOWED.fullmatch(entry):
        return None
    return (
        f"'{entry}' is no host: write llm.example.com, llm.example.com:8443 or, not encrypted, http://llm.internal:8000"
    )


def address_fault(address: str, allowed: Iterable[str] | None = ()) -> str | None:
    """Return why a narrative may not name this address, None if it may. `allowed` are the hosts of the mesh; None where
    they are not known, so that only the address itself is looked at."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        return f"'{address}' is no address of a model: write https://host:port/path, without name, query or other signs"
    place = _place(match)
    if place.on_this_machine or allowed is None:
        return None
    entries = [_place(found) for entry in allowed if (found := _ALLOWED.fullmatch(entry))]
    if any(entry.allows(place) for entry in entries):
        return None
    if place.scheme == "http" and any(entry.host == place.host for entry in entries):
        return f"prompts and key would go to {place.host} unencrypted"
    return f"{place.host} is no host that this mesh allows, and prompts and a key would go there"


def _place(match: re.Match[str]) -> _Place:
    scheme = match["scheme"].lower() if match["scheme"] else None
    port = int(match["port"]) if match["port"] else _STANDARD_PORTS.get(scheme or "") if match.re is _ADDRESS else None
    return _Place(scheme, match["host"].lower(), port)
