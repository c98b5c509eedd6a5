"""`mesh.yaml` and `domain.yaml`: the settings of a mesh, and of one of its domains."""

import ipaddress
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path, PurePath
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from storymesh.case.definition import Duration
from storymesh.document import Definition
from storymesh.errors import suggest_name
from storymesh.language.types import Classification
from storymesh.llm.addresses import allowed_host_fault
from storymesh.mesh.engine_settings import EngineChoice, EngineSettings
from storymesh.mesh.premises import DEFAULT_PREMISE, Premise, Premises
from storymesh.product.warehouse import BUCKETS, CATALOGS, Warehouse, address_fault
from storymesh.release.layout import PUBLIC_KEY

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_EXAMPLE = "such as '0 6 * * *', which is every day at six (UTC)"


def check_schedule(cron: str) -> str:
    """Return `cron` as it is. Raises ValueError that names the wrong field and what is allowed in it.

    What Dagster accepts is accepted: five fields as croniter 6 reads them, which Dagster has a copy of.
    """
    from croniter import CroniterBadDateError, croniter

    fields = cron.split()
    is_alias = len(fields) == 1 and cron.startswith("@") and croniter.is_valid(cron)
    if len(fields) != len(_FIELDS) and not is_alias:
        message = f"'{cron}' is no schedule: {len(fields)} fields, five are wanted (minute, hour, day, month, weekday)"
        raise ValueError(f"{message}, {_EXAMPLE}")
    if not croniter.is_valid(cron):
        raise ValueError(_fault(cron, fields))
    try:
        croniter(cron).get_next()
    except CroniterBadDateError:
        raise ValueError(f"the schedule '{cron}' never comes: no such month has that day") from None
    return cron


def _fault(cron: str, fields: list[str]) -> str:
    """Return what is wrong with a schedule, by trying each part of it with `*` in all other fields."""
    from croniter import CroniterError, croniter

    for position, (field, (name, low, high)) in enumerate(zip(fields, _FIELDS, strict=True)):
        for part in field.split(","):
            others = ["*"] * len(_FIELDS)
            others[position] = part
            try:
                croniter.expand(" ".join(others))
            except CroniterError as error:
                allowed = f"a number, a range such as {low}-{high}, *, or one of these with /step"
                if "out of range" in str(error):
                    allowed = f"it lies between {low} and {high}"
                return f"'{part}' is no {name} of the schedule '{cron}': {allowed}"
    return f"'{cron}' is no schedule, {_EXAMPLE}"


Schedule = Annotated[str, AfterValidator(check_schedule)]


def _check_relative(value: str) -> str:
    if Path(value).is_absolute():
        message = f"'{value}' is an absolute path, which no other machine has; write it relative to the mesh root"
        raise ValueError(message)
    if ".." in PurePath(value).parts or "\0" in value:
        raise ValueError(f"'{value}' leads out of the mesh, in which it has to be")
    return value


RelativeFolder = Annotated[str, AfterValidator(_check_relative)]


def _address_with(*schemes: str) -> AfterValidator:
    def check_address(value: str) -> str:
        if fault := address_fault(value, schemes):
            raise ValueError(fault)
        return value

    return AfterValidator(check_address)


class StoreSettings(Definition):
    """Where products are kept.

    `folder` is on this machine: it has locks, quarantined rows and builds, and the products too where neither
    `warehouse` (an `s3://` address) nor `catalog` (a database, as SQLAlchemy writes it) says otherwise.
    """

    folder: RelativeFolder = ".storymesh"
    warehouse: Annotated[str, _address_with(*BUCKETS)] | None = None
    catalog: Annotated[str, _address_with(*CATALOGS)] | None = None

    def warehouse_of(self, root: Path) -> Warehouse:
        """Return where the mesh in the folder `root` keeps its products."""
        return Warehouse(root / self.folder, self.warehouse, self.catalog)


def _as_store_settings(value: Any) -> Any:
    return {"folder": value} if isinstance(value, str) else value


def _check_host(value: str) -> str:
    if fault := allowed_host_fault(value):
        raise ValueError(fault)
    return value


def _check_public_key(value: str) -> str:
    if not PUBLIC_KEY.fullmatch(value):
        raise ValueError(f"'{value}' is no public key: write ed25519:… as `storymesh sign` prints it")
    return value


class ModelSettings(Definition):
    """The settings for the language models that narratives name.

    `hosts` are those to which a `base_url` may lead, besides this machine: `llm.example.com` (any port, encrypted),
    `llm.example.com:8443`, or `http://llm.internal:8000` for one that is not encrypted.
    """

    hosts: tuple[Annotated[str, AfterValidator(_check_host)], ...] = ()


def _check_network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError(f"'{value}' is no network, such as 10.1.0.0/16: {error}") from None
    return value


class FilesSettings(Definition):
    """The settings for products that are made of files. `networks` are private ones, such as `10.1.0.0/16`, to which
    the addresses in a product's column may lead; others than public ones are refused."""

    networks: tuple[Annotated[str, AfterValidator(_check_network)], ...] = ()


def _check_not_absolute(value: str) -> str:
    if PurePath(value).is_absolute() or value.startswith("~"):
        raise ValueError(f"'{value}' is a path of one machine; write it relative to the mesh root, as in ../data")
    return value


def _check_variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError(f"'{value}' is not the name of a variable of the environment")
    if value.upper().startswith("STORYMESH_"):
        raise ValueError(f"'{value}' is of storymesh itself, and no model may know it")
    return value


def _check_not_negative(value: timedelta) -> timedelta:
    if value < timedelta(0):
        raise ValueError("nothing takes less than no time; write hours such as 12h, or 0h for no limit")
    return value


def _check_positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("a server that says nothing has to be left at some time; write minutes such as 10m")
    return value


class DbtSettings(Definition):
    """What the dbt projects of the domains may have besides their own data and the products that they read.

    `read` are files and folders, relative to the mesh root; `env` names variables of the environment that `env_var`
    finds; `unconfined` names domains whose dbt may do all that the user may who runs it: Python models, plugins.
    `time_limit` is how long the dbt of a domain may take, such as `12h`; `0h` is no limit.
    """

    read: tuple[Annotated[str, AfterValidator(_check_not_absolute)], ...] = ()
    env: tuple[Annotated[str, AfterValidator(_check_variable)], ...] = ()
    unconfined: tuple[str, ...] = ()
    time_limit: Annotated[Duration, AfterValidator(_check_not_negative)] = timedelta(hours=6)


class ServerSettings(Definition):
    """The limits for servers that contracts name.

    `hosts` are patterns of those that may be connected to, as `*.example.com` or `db.example.com:5432`; left away, all.
    `read` are files and folders outside of the domain, relative to the mesh root, in which tables and files may lie.
    A server that says nothing for `silence` is left.
    """

    hosts: tuple[str, ...] | None = None
    read: tuple[Annotated[str, AfterValidator(_check_not_absolute)], ...] = ()
    silence: Annotated[Duration, AfterValidator(_check_positive)] = timedelta(minutes=10)


def _check_premise(value: str | None, known: ValidationInfo) -> str | None:
    premises = known.data.get("premises")
    if value is not None and premises is not None and value not in premises:
        raise ValueError(f"there is no premise '{value}' ({suggest_name(value, premises)})")
    return value


class Settings(Definition):
    """The content of `mesh.yaml`. Without the file the defaults hold."""

    engine: EngineChoice = EngineSettings()
    store: Annotated[
        StoreSettings, BeforeValidator(_as_store_settings, json_schema_input_type=RelativeFolder | StoreSettings)
    ] = StoreSettings()
    releases: RelativeFolder = "releases"
    premises: Premises = Field(default_factory=lambda: {DEFAULT_PREMISE: Premise()})
    run_at: Annotated[str | None, AfterValidator(_check_premise)] = None  # where cases are made, if no premise says so
    classifications: Mapping[str, Classification] = {}  # a contract's own word -> one of ours
    models: ModelSettings = ModelSettings()
    files: FilesSettings = FilesSettings()
    signers: tuple[Annotated[str, AfterValidator(_check_public_key)], ...] = ()  # whose releases are trusted
    dbt: DbtSettings = DbtSettings()
    servers: ServerSettings = ServerSettings()
    schedule: Schedule | None = None  # of the whole mesh, in UTC

    @model_validator(mode="after")
    def _check_home(self) -> Self:
        if self.home is None and any(premise.guarded for premise in self.premises.values()):
            raise ValueError("nothing says where cases are made, and so what would leave: write run_at: <premise>")
        return self

    @property
    def home(self) -> str | None:
        """The premise where cases are made: as said, or else the only one, or `default`. None: nothing says which."""
        if self.run_at is not None:
            return self.run_at
        alone = next(iter(self.premises)) if len(self.premises) == 1 else None
        return alone or (DEFAULT_PREMISE if DEFAULT_PREMISE in self.premises else None)

    @property
    def homes(self) -> Mapping[str, str]:
        """The premise where the cases of a narrative are made, for those that a premise names."""
        return {narrative: name for name, premise in self.premises.items() for narrative in premise.narratives}


class Domain(Definition):
    """The content of `domain.yaml`: a team boundary, one folder under `domains/`, one Dagster code location."""

    id: str
    title: str
    owner: str
    premise: str = DEFAULT_PREMISE
    description: str = ""
    schedule: Schedule | None = None  # of every model and product of the domain, in UTC
