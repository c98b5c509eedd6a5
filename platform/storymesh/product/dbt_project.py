"""A domain's dbt project made ready to run: profile, folders and the other domains' products as dbt sources.

The domain's own files stay untouched and none of what is made here is for git: a project next to the store links to
the domain's folder and adds one file, the sources. Whoever runs dbt (this module, or an orchestrator by its command
line) runs it with what `prepare_dbt` gives.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from storymesh.errors import DefinitionErrors, Finding, TransformFailed
from storymesh.location import Location
from storymesh.product.dbt_profile import database_of_domain
from storymesh.product.store import Snapshot

SOURCES_FOLDER = "storymesh_sources"
_OURS = frozenset({"target", "logs", "dbt_project.yml", "profiles.yml", SOURCES_FOLDER})


@dataclass(frozen=True)
class DbtProject:
    """Where dbt finds everything, and how it is called. `folder` is the domain's own: dbt's working directory."""

    domain: str
    folder: Path
    project_dir: Path
    profiles_dir: Path
    target_path: Path
    log_path: Path
    database: Path
    env: Mapping[str, str]

    @property
    def args(self) -> tuple[str, ...]:
        """The options of every dbt command."""
        return (
            *("--project-dir", str(self.project_dir)),
            *("--profiles-dir", str(self.profiles_dir)),
            *("--target-path", str(self.target_path)),
            *("--log-path", str(self.log_path)),
        )


def prepare_dbt(domain: str, folder: Path, store: Path, inputs: Mapping[str, Snapshot]) -> DbtProject:
    """Make the dbt project of `domain` (its files are in `folder`) ready under `store`.

    `inputs` are the published snapshots of its input ports by product id: models read them as
    `source('<domain>', '<product>')`. Raises DefinitionErrors when there is no readable `dbt_project.yml`.
    """
    folder = folder.resolve()
    home = (store / domain / "dbt").resolve()
    project_dir = home / "project"
    written = _read_project(folder / "dbt_project.yml")
    _link(folder, project_dir)
    model_paths = [*(written.get("model-paths") or ["models"]), SOURCES_FOLDER]
    _write(project_dir / "dbt_project.yml", {**written, "model-paths": model_paths})
    _write(project_dir / SOURCES_FOLDER / "sources.yml", _sources(inputs))
    database = database_of_domain(domain, folder, store)
    profiles_dir = folder
    if not (folder / "profiles.yml").exists():
        profiles_dir = home / "profiles"
        _write(profiles_dir / "profiles.yml", _profiles(str(written.get("profile", domain)), database, folder))
    env = {
        "DO_NOT_TRACK": "1",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_VERSION_CHECK": "false",
        "DBT_USE_COLORS": "false",
        "DBT_PROFILES_DIR": str(profiles_dir),
        "DBT_TARGET_PATH": str(home / "target"),
        "DBT_LOG_PATH": str(home / "logs"),
    }
    return DbtProject(
        domain, folder, project_dir, profiles_dir, home / "target", home / "logs", database, MappingProxyType(env)
    )


def run_dbt(project: DbtProject, command: str, timeout_s: float | None = None) -> None:
    """Run `dbt build` or `dbt parse` in a process of its own; when it is over, nobody holds the domain's DuckDB file.

    Raises TransformFailed with each model that failed, its file and dbt's words.
    """
    results = project.target_path / "run_results.json"
    results.unlink(missing_ok=True)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dbt.cli.main", "--log-format", "json", command, *project.args],
            cwd=project.folder,
            env={**os.environ, **project.env},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        words = f"dbt {command} of '{project.domain}' did not end within {timeout_s:.0f} s"
        raise TransformFailed(words, f"log: {project.log_path}") from None
    if done.returncode == 0:
        return
    told = failed_nodes(project) or _errors(done.stdout) or [done.stderr.strip()[-2000:] or "dbt said nothing"]
    words = f"the dbt project of '{project.domain}' did not {command}: {'; '.join(told)}"
    raise TransformFailed(words, f"log: {project.log_path}")


def _read_project(path: Path) -> dict[str, Any]:
    if not path.exists():
        words = f"there is no dbt project in {path.parent}"
        raise TransformFailed(words, "add dbt_project.yml, or give the product a source")
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = Location(str(path), mark.line + 1, mark.column + 1) if mark else Location(str(path))
        raise DefinitionErrors([Finding(place, "yaml", f"not YAML: {getattr(error, 'problem', error)}")]) from None
    if not isinstance(written, dict):
        raise DefinitionErrors([Finding(Location(str(path)), "yaml", "a dbt project holds fields, this file does not")])
    return written


def _link(folder: Path, project_dir: Path) -> None:
    """Make `project_dir` show what stands in the domain's folder, and nothing that stood there before."""
    project_dir.mkdir(parents=True, exist_ok=True)
    for old in project_dir.iterdir():
        if old.is_symlink():
            old.unlink()
        elif old.is_dir() and old.name != SOURCES_FOLDER:
            shutil.rmtree(old)
    for entry in folder.iterdir():
        if entry.name not in _OURS and not entry.name.startswith("."):
            (project_dir / entry.name).symlink_to(entry, target_is_directory=entry.is_dir())


def _write(path: Path, value: Any) -> None:
    """Write YAML, but only when it changes: dbt parses again what has a new date."""
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _profiles(profile: str, database: Path, folder: Path) -> dict[str, Any]:
    output = {
        "type": "duckdb",
        "path": str(database),
        "threads": 2,
        # Relative paths in models mean the domain's folder, wherever dbt is started.
        "settings": {"file_search_path": str(folder), "TimeZone": "UTC"},
    }
    return {profile: {"target": "storymesh", "outputs": {"storymesh": output}}}


def _sources(inputs: Mapping[str, Snapshot]) -> dict[str, Any]:
    domains: dict[str, list[dict[str, Any]]] = {}
    for product in sorted(inputs):
        domain, _, name = product.partition(".")
        meta = {"external_location": _location(inputs[product]), "formatter": "template"}
        domains.setdefault(domain, []).append({"name": name, "config": {"meta": meta}})
    return {"version": 2, "sources": [{"name": name, "tables": tables} for name, tables in domains.items()]}


def _location(snapshot: Snapshot) -> str:
    """The rows of a snapshot as SQL. dbt-duckdb fills in `$name` in it, so a dollar is written twice."""
    from storymesh.engine.duckdb.connection import parquet_scan as scan_of

    if snapshot.files:
        return scan_of(snapshot.files).replace("$", "$$")
    from storymesh.contract.types import quoted

    empty = ", ".join(f"CAST(NULL AS {_duckdb_type(one.type)}) AS {quoted(one.name)}" for one in snapshot.schema)
    return f"(SELECT {empty} WHERE false)".replace("$", "$$")


def _duckdb_type(kind: Any) -> str:
    import duckdb
    import pyarrow as pa

    relation = duckdb.from_arrow(pa.schema([("x", kind)]).empty_table())
    return str(relation.types[0])


def failed_nodes(project: DbtProject) -> list[str]:
    """One line for each model or test that failed in the last run: its name, its file in the domain, dbt's words."""
    try:
        results = json.loads((project.target_path / "run_results.json").read_text(encoding="utf-8"))["results"]
        nodes = json.loads((project.target_path / "manifest.json").read_text(encoding="utf-8"))["nodes"]
    except (OSError, ValueError, KeyError):
        return []
    lines = []
    for result in results:
        if result["status"] in ("error", "fail", "runtime error"):
            node = nodes.get(result["unique_id"], {})
            place = f"domains/{project.domain}/{node.get('original_file_path', '')}"
            words = " ".join(str(result.get("message") or result["status"]).split())
            lines.append(f"{node.get('name', result['unique_id'])} ({place}): {words}")
    return lines


def _errors(output: str) -> list[str]:
    """The words of dbt's errors in its log of JSON lines."""
    found = []
    for line in output.splitlines():
        try:
            told = json.loads(line)["info"]
        except (ValueError, KeyError, TypeError):
            continue
        if told.get("level") == "error" and told.get("msg", "").strip():
            found.append(" ".join(told["msg"].split()))
    return found
