"""The `engine` of `mesh.yaml`: DuckDB on this machine, or Spark at one place. No secret stands in the file."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, model_validator

from storymesh.document import Definition, ExpressionText
from storymesh.engine.engine import OpenEngine
from storymesh.engine.open import open_spark, settings_of_storymesh
from storymesh.federation.variables import VARIABLE, literal_part
from storymesh.product.warehouse import address_fault, fill_variables, split_address
from storymesh.redaction import is_secret_name

_REMOTE = "sc://host:15002"
_WANTED = f"write duckdb, or {{spark: {{remote: {_REMOTE}}}}}"
_MASTER = re.compile(
    r"local|local\[(\*|\d+)(,\s*\d+)?\]|local-cluster\[\d+,\s*\d+,\s*\d+\]|yarn|[a-z][a-z0-9+.-]*://\S+"
)
_DOES = "has Spark at"


def _is_secret(name: str) -> bool:
    """Return True for a setting or a parameter, such as `fs.s3a.secret.key`, whose value is a secret by its name."""
    words = re.sub(r"[.-]", "_", name)
    return is_secret_name(words) or words.lower() == "authorization"


def _parameters(address: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters of a Spark Connect address, which stand behind semicolons."""
    for parameter in address.split(";")[1:]:
        name, _, value = parameter.partition("=")
        yield name, value


def _check_remote(value: str) -> str:
    if any(_is_secret(name) and secret for name, secret in _parameters(literal_part(value))):
        raise ValueError("a token stands in this file; leave it to the environment: ;token=${NAME}")
    if fault := address_fault(value, ("sc",)):
        raise ValueError(fault)
    if VARIABLE.match(value):
        return value
    address = split_address(value)
    if not address.hostname:
        raise ValueError(f"'{value}' names no host: write {_REMOTE}")
    path, *parameters = address.path.split(";")
    if path not in ("", "/"):
        raise ValueError(f"'{path}' stands behind the host, where only parameters may: {_REMOTE}/;name=value")
    if wrong := next((text for text in parameters if not re.fullmatch("[^=]+=.+", text)), None):
        raise ValueError(f"'{wrong}' is no parameter of an address: write {_REMOTE}/;name=value")
    return value


def _check_master(value: str) -> str:
    if value.startswith("sc://"):
        raise ValueError(f"'{value}' is the address of a Spark Connect server: write it as `remote`")
    if not VARIABLE.search(value) and not _MASTER.fullmatch(value):
        raise ValueError(
            f"'{value}' is no master of Spark: write local[2], yarn, spark://host:7077 or k8s://https://host"
        )
    return value


def _check_settings(value: Mapping[str, str]) -> Mapping[str, str]:
    ours = settings_of_storymesh()
    for name, text in value.items():
        if not re.fullmatch(r"spark\.[A-Za-z0-9_.-]+", name):
            raise ValueError(f"'{name}' is no setting of Spark: they begin with spark.")
        if name in ours:
            raise ValueError(f"'{name}' is '{ours[name]}' in every session, for records hang on it: leave it out")
        if _is_secret(name) and literal_part(text):
            raise ValueError(f"a secret stands in this file: leave '{name}' to the environment: ${{NAME}}")
    return value


class SparkSettings(Definition):
    """Where Spark runs: `remote` is the address of a Spark Connect server, `master` a cluster or this machine as Spark
    names it (`local[2]`, `yarn`, `k8s://…`). `settings` are Spark's own. All may name variables: `${NAME}`."""

    remote: Annotated[str, AfterValidator(_check_remote)] | None = None
    master: Annotated[str, AfterValidator(_check_master)] | None = None
    settings: Annotated[Mapping[str, ExpressionText], AfterValidator(_check_settings)] = {}

    @model_validator(mode="after")
    def _check_one_place(self) -> Self:
        if (self.remote is None) == (self.master is None):
            raise ValueError(f"Spark runs at one place: write `remote: {_REMOTE}` or `master: local[2]`")
        return self


class EngineSettings(Definition):
    """The engine that makes cases, precedents and records: `duckdb`, on this machine, or `{spark: …}`."""

    spark: SparkSettings | None = None

    @property
    def open_cluster(self) -> OpenEngine | None:
        """Opens that engine where it is another one than the one of this machine. Raises WrongUsage for a variable that
        is not set."""
        if self.spark is None:
            return None
        return open_spark(
            remote=fill_variables(self.spark.remote, _DOES),
            master=fill_variables(self.spark.master, _DOES),
            settings={name: fill_variables(text, f"has {name} as") or "" for name, text in self.spark.settings.items()},
        )


def _as_engine_settings(value: Any) -> Any:
    match value:
        case "duckdb":
            return {}
        case {"spark": None}:
            raise ValueError(f"nothing says where Spark runs: {_WANTED}")
        case {"duckdb": _}:
            hint = "its memory and threads are the machine's: STORYMESH_MEMORY and STORYMESH_THREADS"
            raise ValueError(f"duckdb has no settings here: write engine: duckdb; {hint}")
        case dict():
            return value
        case list() | None:
            raise ValueError(f"'engine' names no engine: {_WANTED}")
        case _:
            raise ValueError(f"there is no engine '{value}': {_WANTED}")


EngineChoice = Annotated[
    EngineSettings, BeforeValidator(_as_engine_settings, json_schema_input_type=Literal["duckdb"] | EngineSettings)
]
