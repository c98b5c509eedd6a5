"""The servers of a contract, in the standard's own field: where the rows of its products lie.

Fields are kept as they are written, with `${NAME}` for variables of the environment. Who connects has them filled in;
names and passwords are in no file: they stand in variables that are called after the server.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from storymesh.contract.definition import Contract
from storymesh.document import Document
from storymesh.errors import Finding, SourceUnreadable, suggest_name
from storymesh.federation.variables import fill_variables, unset_variables, variable_names
from storymesh.location import Location
from storymesh.redaction import is_secret_name, redact

ServerKind = Literal[
    "postgresql", "mysql", "sqlite", "duckdb", "files", "iceberg", "snowflake", "bigquery", "databricks", "trino",
]  # fmt: skip
_KINDS: Mapping[str, ServerKind] = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "cloudsql": "postgresql",
    "mysql": "mysql",
    "duckdb": "duckdb",
    "s3": "files",
    "local": "files",
    "iceberg": "iceberg",
    "snowflake": "snowflake",
    "bigquery": "bigquery",
    "databricks": "databricks",
    "trino": "trino",
}
_CUSTOM: Mapping[str, ServerKind] = {"sqlite": "sqlite", "mariadb": "mysql"}  # `format` of a server of the type custom
DATABASES = ("postgresql", "mysql", "sqlite", "duckdb", "snowflake", "bigquery", "databricks", "trino")
"""Kinds whose tables can also be read through a query."""

_WHERE = ("host", "account", "project", "location", "path", "catalogUrl")  # the field that says where it is, of a type
_NOT_FIELDS = ("server", "type", "id", "description", "roles", "customProperties", "environment")


@dataclass(frozen=True)
class Server:
    """A server of a contract. `fields` are as they are written, by the names that the standard has for them.

    `domain` is whose contract it is. `credentials` are those that a person has given beside the environment, for a
    server that is in no contract yet.
    """

    name: str
    type: str
    fields: Mapping[str, str]
    location: Location | None = None
    domain: str = ""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def at(self) -> str:
        """Where it is written, as messages begin."""
        return f"{self.location}: " if self.location is not None else ""

    @property
    def kind(self) -> ServerKind | None:
        """What it is read as; None where nobody here reads such a server."""
        if self.type == "custom":
            return _CUSTOM.get(self.fields.get("format", "").lower())
        return _KINDS.get(self.type)

    @property
    def holds_rules(self) -> Literal["there", "here", "nowhere"]:
        """Where the rules of a contract are held for all rows of a product that stays: by the server; here, where
        its rows are on this machine or come all; or nowhere, since that would move what is to stay."""
        columnar = self.kind == "iceberg" or self.fields.get("format") in ("parquet", "delta")
        on_disk = self.type == "local" or self.fields.get("catalogUrl", "").startswith("sqlite:")
        if self.kind == "postgresql":
            return "there"
        return "nowhere" if columnar and not on_disk else "here"

    @property
    def place(self) -> str:
        """Where it is, as it is written, for people: no value of the environment is in it."""
        at = next((self.fields[name] for name in _WHERE if name in self.fields), "")
        port = f":{self.fields['port']}" if at and "port" in self.fields else ""
        inside = [self.fields[name] for name in ("catalog", "database", "dataset", "schema") if name in self.fields]
        return redact("/".join(part for part in (f"{at}{port}", *inside) if part))

    @property
    def words(self) -> str:
        """Name, type and place, for messages."""
        return f"the server '{self.name}' ({self.type} at {self.place})"

    def field(self, name: str) -> str | None:
        """Return a field with its variables filled in; None where it is not written, or empty.

        Raises SourceUnreadable for a variable that is not set.
        """
        written = self.fields.get(name)
        return (fill_variables(written, self._unset) or None) if written else None

    def required(self, name: str) -> str:
        """Return `field`. Raises SourceUnreadable where there is none."""
        value = self.field(name)
        if value is None:
            raise SourceUnreadable(f"{self.at}{self.words} has no '{name}'", f"write {name}: …")
        return value

    def credential(self, name: str) -> str | None:
        """Return what the environment has for this server: `LEDGER_PASSWORD` is the PASSWORD of `ledger`.

        `BANK__LEDGER_PASSWORD` is for the domain `bank` alone, and comes before; no name of a server leads to it.
        """
        own = f"{_as_variable(self.domain)}__{self.variable(name)}"
        return self.credentials.get(name) or os.environ.get(own) or os.environ.get(self.variable(name)) or None

    def variable(self, name: str) -> str:
        """Return the name of the variable that has a credential of this server."""
        return f"{_as_variable(self.name)}_{name}"

    def with_credentials(self, written: Mapping[str, str]) -> "Server":
        """Return this server with credentials whose variables are filled in. Raises SourceUnreadable for one that is
        not set."""
        filled = {name: fill_variables(text, self._unset) for name, text in written.items()}
        return replace(self, credentials=filled)

    def _unset(self, variable: str) -> SourceUnreadable:
        message = f"{self.at}{self.words} is found by the variable {variable}, which is not set"
        return SourceUnreadable(message, f"set {variable} in the environment, or write ${{{variable}:-otherwise}}")


def servers_of(contract: Contract) -> Mapping[str, Server]:
    """Return the servers of a contract by name; of those with one name, the first."""
    servers: dict[str, Server] = {}
    for index, item in enumerate(_as_list(contract.document)):
        location = contract.document.key_at("servers", index, "server")
        fields = {name: _text(value) for name, value in item.items() if name not in _NOT_FIELDS and value is not None}
        server = Server(item["server"], item["type"], MappingProxyType(fields), location, contract.domain)
        servers.setdefault(server.name, server)
    return servers


def server_findings(contract: Contract) -> Iterator[Finding]:
    """Yield what is wrong with the servers of a contract, whether or not anything is read from them."""
    document, names = contract.document, set[str]()
    for index, item in enumerate(_as_list(document)):
        at = ("servers", index)
        if item["server"] in names:
            words = f"the server '{item['server']}' stands twice"
            yield document.finding((*at, "server"), "duplicate-name", words, "rename one of the two")
        names.add(item["server"])
        for name, value in item.items():
            if name in ("description", "roles", "customProperties") or not isinstance(value, str):
                continue
            for variable in variable_names(value):
                if is_secret_name(variable):
                    words = f"'{name}' would show the secret {variable}: a field of a server says where it is"
                    hint = f"leave it away: the password of '{item['server']}' is read from {_password_of(item)}"
                    yield document.finding((*at, name), "secret", words, hint)
            if redact(value) != value:
                words = f"a password stands in '{name}' of the server '{item['server']}'"
                hint = f"leave it to the environment: it is read from {_password_of(item)}"
                yield document.finding((*at, name), "secret", words, hint)


def unset_findings(contract: Contract, server: Server) -> Iterator[Finding]:
    """Yield a note for each variable that the place of a server needs and that is not set here."""
    for name, written in server.fields.items():
        for variable in unset_variables(written):
            words = f"'{name}' of the server '{server.name}' is {written}, and {variable} is not set here"
            hint = f"a run needs it: set {variable}, or write ${{{variable}:-otherwise}}"
            index = next(i for i, item in enumerate(_as_list(contract.document)) if item["server"] == server.name)
            yield Finding(contract.document.at("servers", index, name), "unset-variable", words, hint, "warning")


def unread_type(server: Server) -> tuple[str, str]:
    """Return message and hint about a server whose type nobody here reads."""
    known = ", ".join(sorted({*_KINDS, *(f"custom with format: {name}" for name in _CUSTOM)}))
    near = suggest_name(server.type, _KINDS)
    hint = near if near.startswith("did you mean") and server.type not in _KINDS else f"read are {known}"
    written = f"custom with the format {server.fields.get('format')!r}" if server.type == "custom" else server.type
    return f"the server '{server.name}' is of the type {written}, from which nothing is read", hint


def _as_variable(name: str) -> str:
    """Return a name as it stands in that of a variable, where it never has two underscores together."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").upper()


def _as_list(document: Document) -> list[dict[str, Any]]:
    return document.value.get("servers") or []


def _password_of(item: Mapping[str, Any]) -> str:
    return Server(item["server"], item["type"], {}).variable("PASSWORD")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
