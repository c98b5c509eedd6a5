"""The PostgreSQL in which a domain's dbt models are made, stay, and are published from."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

from storymesh.document import Document
from storymesh.errors import DefinitionErrors, Finding
from storymesh.federation.server import Server
from storymesh.federation.variables import VARIABLE, variable_names

_ALLOWED = frozenset(
    {"type", "host", "user", "password", "pass", "port", "dbname", "database", "schema", "threads", "sslmode", "role"}
    | {"connect_timeout", "retries", "keepalives_idle", "search_path"}
)
_REQUIRED = ("host", "user", "schema")
_ENV_VAR = re.compile(
    r"\{\{\s*env_var\(\s*(['\"])(\w+)\1\s*(?:,\s*(['\"])([^'\"}]*)\3\s*)?\)\s*(?:\|\s*(?:int|as_number|as_native|as_text)\s*)?\}\}"
)


@dataclass(frozen=True)
class ModelServer:
    """A server that a profile names. `credentials` are as they are written, with `${NAME}` for `env_var`."""

    server: Server
    credentials: Mapping[str, str]
    findings_of_variables: tuple[Finding, ...]

    def opened(self) -> Server:
        """Return the server with the credentials of the environment. Raises SourceUnreadable for a variable that is not
        set."""
        return self.server.with_credentials(self.credentials)

    def require(self, env: Collection[str]) -> None:
        """Raise DefinitionErrors for a variable that mesh.yaml does not let dbt have, and without dbt's adapter."""
        if refused := [finding for finding in self.findings_of_variables if finding.message.split("'")[1] not in env]:
            raise DefinitionErrors(refused)
        if find_spec("dbt.adapters.postgres") is None:
            words = "dbt reaches a PostgreSQL with dbt-postgres, which is not installed"
            assert self.server.location is not None
            raise DefinitionErrors(
                [Finding(self.server.location, "profile", words, "pip install 'storymesh[postgres]'")]
            )


def read_model_server(document: Document, at: tuple[str, ...], output: Mapping[str, Any], domain: str) -> ModelServer:
    """Return the PostgreSQL of a target of profiles.yml. Raises DefinitionErrors for what it may not say."""
    findings: list[Finding] = []
    texts: dict[str, str] = {}
    variables: list[Finding] = []
    for name, value in output.items():
        if name not in _ALLOWED:
            words = f"a profile of a PostgreSQL may not say '{name}'"
            findings.append(document.finding((*at, name), "profile", words, "leave it away"))
            continue
        texts[name] = _ENV_VAR.sub(_as_variable, str(value))
        if "{{" in texts[name] or "{%" in texts[name]:
            words = f"'{name}' is more than a text and variables"
            findings.append(document.finding((*at, name), "profile", words, "write {{ env_var('NAME') }}"))
        for variable in variable_names(texts[name]):
            words = f"dbt may not read the variable '{variable}'"
            hint = f"let it: dbt: {{env: [{variable}]}} in mesh.yaml"
            variables.append(document.finding((*at, name), "profile", words, hint))
    for name in ("password", "pass"):
        if texts.get(name) and VARIABLE.sub("", texts[name]):
            words = f"a password stands in {document.path}"
            hint = "leave it to the environment: \"{{ env_var('NAME') }}\""
            findings.append(document.finding((*at, name), "secret", words, hint))
    missing = [name for name in _REQUIRED if not texts.get(name)]
    missing += [] if texts.get("dbname") or texts.get("database") else ["dbname"]
    findings += [document.finding(at, "profile", f"the target has no '{name}'", f"write {name}: …") for name in missing]
    if findings:
        raise DefinitionErrors(findings)
    fields = {name: texts[name] for name in ("host", "port", "schema", "sslmode") if texts.get(name)}
    fields["database"] = texts.get("dbname") or texts["database"]
    server = Server(domain, "postgresql", MappingProxyType(fields), document.key_at(*at))
    given = {"USER": texts["user"], "PASSWORD": texts.get("password") or texts.get("pass") or ""}
    return ModelServer(server, MappingProxyType(given), tuple(variables))


def _as_variable(match: re.Match[str]) -> str:
    name, otherwise = match[2], match[4]
    return f"${{{name}}}" if otherwise is None else f"${{{name}:-{otherwise}}}"
