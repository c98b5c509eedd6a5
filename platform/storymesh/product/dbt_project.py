"""Preparing and running a domain's dbt project, which reads the products of other domains as dbt sources.

The files of the domain stay untouched. A project in the store links to the domain's folder and adds one file, the
sources. What runs dbt (this module, or an orchestrator with its command line) runs it as `prepare_dbt` says.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from storymesh.atomic_write import write_atomically
from storymesh.engine.engine import Engine
from storymesh.engine.open import DBT_PLUGIN
from storymesh.errors import DefinitionErrors, TransformFailed
from storymesh.product.dbt_files import PROJECT_FILE, data_folders, has_dbt_project, read_dbt_project, require_dbt_files
from storymesh.product.dbt_messages import explain_dbt_error
from storymesh.product.dbt_process import dbt_command, was_ended
from storymesh.product.dbt_profile import DomainProfile, read_profile
from storymesh.product.store import Snapshot

SOURCES_FOLDER = "storymesh_sources"
ALLOWED = "allowed.json"
EXTERNAL = "external"  # the folder of the files that models write
_PARSED = "partial_parse.msgpack"  # dbt's name
_BEGUN = re.compile(r"Began running node [a-z]+\.\w+\.([\w.]+)")
_FINISHED = re.compile(r"Finished running node [a-z]+\.\w+\.([\w.]+)")
_OURS = frozenset({"target", "logs", "dbt_project.yml", "profiles.yml", SOURCES_FOLDER})


@dataclass(frozen=True)
class DbtProject:
    """The folders, options and environment of dbt for one domain. `folder`, the domain's own, is its working folder.

    `files` are the texts of the files in the store that dbt finds beside those of the domain. `parsed` is what dbt
    keeps of a project that it parses: a build begins with it. `on_server`: its models are not in the `database`, but
    on a server.
    """

    domain: str
    folder: Path
    project_dir: Path
    profiles_dir: Path
    target_path: Path
    log_path: Path
    database: Path
    env: Mapping[str, str]
    home: Path
    access: "DbtAccess"
    files: Mapping[Path, str]
    parsed: Path
    on_server: bool = False

    @property
    def args(self) -> tuple[str, ...]:
        """The options that every dbt command gets."""
        return (
            *("--project-dir", str(self.project_dir)),
            *("--profiles-dir", str(self.profiles_dir)),
            *("--target-path", str(self.target_path)),
            *("--log-path", str(self.log_path)),
        )

    @property
    def external(self) -> Path:
        """The folder of the files that models write."""
        return self.target_path.parent / EXTERNAL

    def command(self) -> list[str]:
        """Return the command that runs dbt now, to which dbt's own arguments are added."""
        names, limit = ",".join(self.access.env), self.access.time_limit.total_seconds()
        command = dbt_command(str(self.folder), str(self.home), names, limit)
        return [*command, *(["--partial-parse-file-path", str(self.parsed)] if self.parsed.is_file() else [])]


@dataclass(frozen=True)
class DbtAccess:
    """What the operator lets a domain's dbt have besides the domain's own data and the products that it reads.

    `read` are files and folders, `env` names of variables of the environment. `unconfined`: everything that the user
    who runs it may do. A build is ended after `time_limit`; zero is no limit.
    """

    read: tuple[Path, ...] = ()
    env: tuple[str, ...] = ()
    unconfined: bool = False
    time_limit: timedelta = timedelta(hours=6)


def prepare_dbt(
    domain: str,
    folder: Path,
    store: Path,
    inputs: Mapping[str, Snapshot],
    engine: Engine,
    access: DbtAccess = DbtAccess(),
    *,
    only_parsed: bool = False,
) -> DbtProject:
    """Prepare the dbt project in a domain's `folder` to run below `store`, as `plan_dbt` plans it."""
    project = plan_dbt(domain, folder, store, inputs, engine, access, only_parsed=only_parsed)
    _link_files(project.folder, project.project_dir)
    if not access.unconfined:
        project.external.mkdir(parents=True, exist_ok=True)
        project.database.parent.mkdir(parents=True, exist_ok=True)
    for path, text in project.files.items():
        _write_changed(path, text)
    project.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return project


def plan_dbt(
    domain: str,
    folder: Path,
    store: Path,
    inputs: Mapping[str, Snapshot],
    engine: Engine,
    access: DbtAccess,
    *,
    only_parsed: bool = False,
) -> DbtProject:
    """Return how the dbt project in a domain's `folder` runs below `store`, confined to what `access` says. Nothing is
    written.

    `inputs` are the published snapshots of its input ports by product id. Models read them as
    `source('<domain>', '<product>')`. `engine` is the one that dbt's adapter runs. A project that is `only_parsed` has
    a folder of its own beside a build that goes on, and the profile of a build: dbt parses all again under another.
    Raises DefinitionErrors for files that dbt should not read, TransformFailed when there is no project.
    """
    folder = folder.resolve()
    built, parsed = (store / domain / "dbt").resolve(), (parse_folder(store, domain) / domain / "dbt").resolve()
    home = parsed if only_parsed else built
    project_dir = home / "project"
    fields = _read_project(folder, unconfined=access.unconfined)
    model_paths = [*(fields.get("model-paths") or ["models"]), SOURCES_FOLDER]
    profile = read_profile(domain, folder, store, unconfined=access.unconfined)
    if profile.server is not None:
        profile.server.require(access.env)
    only = None if access.unconfined else _allowed_paths(folder, built, inputs, access)
    files = {
        project_dir / PROJECT_FILE: _yaml({**fields, "model-paths": model_paths}),
        project_dir / SOURCES_FOLDER / "sources.yml": _yaml(_sources(inputs, engine)),
        home / ALLOWED: json.dumps(None if only is None else [str(path) for path in only]),
    }
    profiles_dir = folder
    if not access.unconfined or not (folder / "profiles.yml").exists():
        profiles_dir = home / "profiles"
        profiles = _profiles(str(fields.get("profile", domain)), profile, folder, built, unconfined=access.unconfined)
        files[profiles_dir / "profiles.yml"] = _yaml(profiles)
    return DbtProject(
        domain=domain,
        folder=folder,
        project_dir=project_dir,
        profiles_dir=profiles_dir,
        target_path=home / "target",
        log_path=home / "logs",
        database=profile.database,
        on_server=profile.server is not None,
        env=MappingProxyType(_environment(profiles_dir, home)),
        home=home / "home",
        access=access,
        files=MappingProxyType(files),
        parsed=parsed / "target" / _PARSED,
    )


def _environment(profiles_dir: Path, home: Path) -> dict[str, str]:
    return {
        "DO_NOT_TRACK": "1",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_VERSION_CHECK": "false",
        "DBT_USE_COLORS": "false",
        "DBT_PROFILES_DIR": str(profiles_dir),
        "DBT_TARGET_PATH": str(home / "target"),
        "DBT_LOG_PATH": str(home / "logs"),
    }


def parse_folder(store: Path, domain: str) -> Path:
    """Return the folder in which the project of a domain is parsed, and what came of it is kept."""
    return store / "dagster" / "parse" / domain


def allowed_paths(domain: str, store: Path) -> list[Path] | None:
    """Return what the domain's models were allowed to read when dbt last ran; None: everything."""
    try:
        paths = json.loads((store / domain / "dbt" / ALLOWED).read_text(encoding="utf-8"))
    except OSError:
        return []
    return None if paths is None else [Path(path) for path in paths]


def _allowed_paths(folder: Path, home: Path, inputs: Mapping[str, Snapshot], access: DbtAccess) -> list[Path]:
    files = [Path(file) for product in sorted(inputs) for file in inputs[product].files]
    # Whatever a model may read it may also write: DuckDB does not tell the two apart.
    return [*data_folders(folder), home / EXTERNAL, *(path.resolve() for path in access.read), *files]


def run_dbt(project: DbtProject, command: str, timeout_s: float | None = None) -> None:
    """Run `dbt build` or `dbt parse` in a process of its own, so that afterwards no process has the database open.

    Raises DbtRefused with each model that failed, its file and dbt's message; TransformFailed where it takes too long.
    """
    results = project.target_path / "run_results.json"
    results.unlink(missing_ok=True)
    try:
        done = subprocess.run(
            [*project.command(), "--log-format", "json", command, *project.args],
            cwd=project.project_dir,
            env={**os.environ, **project.env},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        message = f"dbt {command} of '{project.domain}' did not end within {timeout_s:.0f} s"
        raise TransformFailed(message, f"log: {project.log_path}") from None
    if done.returncode == 0:
        return
    if was_ended(done.returncode):
        raise timeout_error(project, command, project.log_path)
    errors = (
        failed_nodes(project)
        or _logged_errors(done.stdout, project.folder)
        or [done.stderr.strip()[-2000:] or "dbt said nothing"]
    )
    raise DbtRefused(project, command, errors)


class DbtRefused(TransformFailed):
    """What dbt says of a project that it does not parse or build: one text in `errors` for each error."""

    def __init__(self, project: DbtProject, command: str, errors: Sequence[str]) -> None:
        self.errors = tuple(errors)
        message = f"the dbt project of '{project.domain}' did not {command}: {'; '.join(errors)}"
        super().__init__(message, f"log: {project.log_path}")


def timeout_error(project: DbtProject, command: str, logs: Path) -> TransformFailed:
    """Return the error of a dbt that was ended by its limit of time, with the models that it was at."""
    log = logs / "dbt.log"
    running: dict[str, None] = {}
    with suppress(OSError), log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if begun := _BEGUN.search(line):
                running[begun[1]] = None
            elif finished := _FINISHED.search(line):
                running.pop(finished[1], None)
            elif "Running with dbt" in line:
                running.clear()  # of an earlier run
    at = f" while it was at {', '.join(running)}" if running else ""
    message = f"dbt {command} of '{project.domain}' took longer than it may and was ended{at}"
    hint = f"mend a model that never ends, or set `dbt: {{time_limit: 12h}}` in mesh.yaml; log: {log}"
    return TransformFailed(message, hint)


def _read_project(folder: Path, *, unconfined: bool) -> dict[str, Any]:
    """Return dbt_project.yml as dbt reads it, after looking at it and at what it stands for."""
    root = folder.parent.parent
    if not has_dbt_project(folder) and not (folder / PROJECT_FILE).is_symlink():
        message = f"there is no dbt project in {folder}"
        raise TransformFailed(message, "write a model, models/<product>.sql, or give the product a source")
    document = read_dbt_project(folder, root)
    require_dbt_files(document, folder, root, unconfined=unconfined)
    # dbt reads YAML 1.1, in which some plain words mean something else.
    try:
        fields: dict[str, Any] = yaml.safe_load(document.text)
    except yaml.YAMLError as error:
        words = f"not YAML as dbt reads it: {getattr(error, 'problem', error)}"
        raise DefinitionErrors([document.finding((), "yaml", words)]) from None
    return fields


def _link_files(folder: Path, project_dir: Path) -> None:
    """Fill `project_dir` with links to what is in the domain's folder, and remove what else was there before.

    Links that are right stay: a dbt that goes on may be reading through them.
    """
    project_dir.mkdir(parents=True, exist_ok=True)
    entries = {entry.name: entry for entry in folder.iterdir()}
    linked = {name: entry for name, entry in entries.items() if name not in _OURS and not name.startswith(".")}
    for old in project_dir.iterdir():
        if old.is_symlink():
            if old.name in linked and old.readlink() == linked[old.name]:
                del linked[old.name]
            else:
                old.unlink()
        elif old.is_dir() and old.name != SOURCES_FOLDER:
            shutil.rmtree(old)
    for name, entry in linked.items():
        (project_dir / name).symlink_to(entry, target_is_directory=entry.is_dir())


def _write_changed(path: Path, text: str) -> None:
    """Write a file only when it changes: dbt parses files with a new modification time again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, text)


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)


def _profiles(name: str, profile: DomainProfile, folder: Path, home: Path, *, unconfined: bool) -> dict[str, Any]:
    if profile.server is not None:
        return {name: {"target": "storymesh", "outputs": {"storymesh": {"threads": 2, **profile.fields}}}}
    output: dict[str, Any] = {"threads": 2, **profile.fields, "type": "duckdb", "path": str(profile.database)}
    if unconfined:
        # Relative paths in models are relative to the domain's folder, wherever dbt is started.
        output["settings"] = {**profile.settings, "file_search_path": str(folder), "TimeZone": "UTC"}
    else:
        config = {"folder": str(folder), "allowed": str(home / ALLOWED), "settings": dict(profile.settings)}
        output["plugins"] = [{"module": DBT_PLUGIN, "config": config}]
        output["external_root"] = str(home / EXTERNAL)
    return {name: {"target": "storymesh", "outputs": {"storymesh": output}}}


def _sources(inputs: Mapping[str, Snapshot], engine: Engine) -> dict[str, Any]:
    domains: dict[str, list[dict[str, Any]]] = {}
    for product in sorted(inputs):
        domain, _, name = product.partition(".")
        # dbt-duckdb fills `$name` in, so a dollar is written twice.
        scan = engine.parquet_scan_sql(inputs[product].files, inputs[product].schema).replace("$", "$$")
        meta = {"external_location": scan, "formatter": "template"}
        domains.setdefault(domain, []).append({"name": name, "config": {"meta": meta}})
    return {"version": 2, "sources": [{"name": name, "tables": tables} for name, tables in domains.items()]}


def failed_nodes(project: DbtProject) -> list[str]:
    """Return a line for each model or test that failed in the last run: its name, its file and dbt's message."""
    try:
        results = json.loads((project.target_path / "run_results.json").read_text(encoding="utf-8"))["results"]
        nodes = json.loads((project.target_path / "manifest.json").read_text(encoding="utf-8"))["nodes"]
    except (OSError, ValueError, KeyError):
        return []
    lines = []
    for result in results:
        if result["status"] in ("error", "fail", "runtime error"):
            node = nodes.get(result["unique_id"], {})
            file = f"domains/{project.domain}/{node.get('original_file_path', '')}"
            message = explain_dbt_error(str(result.get("message") or result["status"]), project.folder)
            lines.append(f"{node.get('name', result['unique_id'])} ({file}): {message}")
    return lines


def _logged_errors(output: str, folder: Path) -> list[str]:
    """Return the messages of errors in dbt's log of JSON lines."""
    messages = []
    for line in output.splitlines():
        try:
            event = json.loads(line)["info"]
        except (ValueError, KeyError, TypeError):
            continue
        said = event.get("msg", "").strip()
        if event.get("level") == "error" and said and not said.startswith("Traceback"):
            messages.append(explain_dbt_error(event["msg"], folder))
    return messages
