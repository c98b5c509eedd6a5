"""A dbt project from a stranger: its models, templates, profile and files reach nothing but the domain's own data."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.errors import DefinitionErrors, EngineFailed, StorymeshError, TransformFailed
from storymesh.mesh.settings import DbtSettings
from storymesh.product import dbt_process
from storymesh.product.dbt_profile import read_profile
from storymesh.product.dbt_project import DbtAccess, DbtProject, failed_nodes, prepare_dbt, run_dbt, timeout_error
from storymesh.product.dbt_server import preloaded_dbt, server_address

REFUSED = {
    "reads_a_file_of_the_system": "select * from read_text('/etc/hostname')",
    "reads_the_environment": "select * from read_blob('/proc/self/environ')",
    "reads_the_environment_of_its_parent": "select * from read_text('/proc/1/environ')",
    "reads_the_key": "select * from read_text('../../.storymesh/pseudonym.key')",
    "reads_another_team": "select * from read_csv('../other/sources/wages.csv')",
    "reads_another_team_by_its_path": "select * from read_csv('{{ root }}/domains/other/sources/wages.csv')",
    "reads_another_team_behind_dots": "select * from read_csv('sources/../../other/sources/wages.csv')",
    "reads_another_team_behind_a_link": "select * from read_csv('sources/link.csv')",
    "reads_another_team_in_a_linked_folder": "select * from read_csv('sources/team/wages.csv')",
    "reads_all_teams": "select * from read_csv('../*/sources/*.csv')",
    "reads_its_own_code": "select * from read_text('definitions.py')",
    "reads_its_own_models": "select * from read_text('models/*.sql')",
    "reads_the_store": "select * from read_text('{{ root }}/.storymesh/canal/dbt/profiles/profiles.yml')",
    "reads_the_network": "select * from read_csv('http://127.0.0.1:9/x.csv')",
    "lists_files": "select * from glob('/etc/*')",
    "opens_a_database": "{% do run_query(\"attach '{{ root }}/other.duckdb' as other\") %} select 1 as a",
    "opens_a_database_by_its_path": "{% do run_query(\"attach '/tmp/other.duckdb' as other\") %} select 1 as a",
    "writes_code": "{% do run_query(\"copy (select 1) to 'definitions.py'\") %} select 1 as a",
    "writes_a_model": "{% do run_query(\"copy (select 1) to 'models/more.sql'\") %} select 1 as a",
    "writes_anywhere": "{% do run_query(\"copy (select 1) to '/tmp/stolen_by_dbt.csv'\") %} select 1 as a",
    "exports_the_database": "{% do run_query(\"export database '/tmp/stolen_by_dbt'\") %} select 1 as a",
    "sets_a_log": "{% do run_query(\"set log_query_path = '/tmp/stolen_by_dbt.log'\") %} select 1 as a",
    "sets_a_profile": "{% do run_query(\"set profiling_output = '/tmp/stolen_by_dbt.json'\") %} select 1 as a",
    "unlocks_itself": "{% do run_query('set enable_external_access = true') %} select 1 as a",
    "allows_itself_more": "{% do run_query(\"set allowed_directories = ['/']\") %} select 1 as a",
    "loads_an_extension": "{% do run_query(\"load '/tmp/evil.duckdb_extension'\") %} select 1 as a",
    "installs_an_extension": "{% do run_query('install httpfs') %} select 1 as a",
    "keeps_a_secret": "{% do run_query(\"create persistent secret s (type http, bearer_token 'x')\") %} select 1 as a",
    "writes_in_a_hook": "{{ config(post_hook=\"copy (select 1) to '/tmp/stolen_by_dbt.csv'\") }} select 1 as a",
    "writes_outside_as_external": "{{ config(materialized='external', location='/tmp/stolen_by_dbt') }} select 1",
    "uses_a_plugin": "{{ config(materialized='external', plugin='sqlalchemy', location='x.parquet') }} select 1 as a",
    "escapes_from_jinja": "select '{{ ''.__class__.__mro__[1].__subclasses__() }}' as a",
    "imports_from_jinja": "select '{{ modules.re.sys.modules.os.environ }}' as a",
}
ALLOWED = {
    "reads_its_source": "select * from read_csv('sources/ships.csv')",
    "reads_its_sources": "select * from read_csv('sources/s*.csv')",
    "reads_what_the_operator_allows": "select * from read_csv('../../../public/data.csv')",
    "reads_a_variable_of_the_operator": 'select \'{{ env_var("REGION", "none") }}\' as a',
    "reads_no_key": 'select \'{{ env_var("STORYMESH_PSEUDONYM_KEY", "none") }}\' as a',
    "reads_no_token": 'select \'{{ env_var("AWS_SECRET_ACCESS_KEY", "none") }}\' as a',
    "reads_a_home_of_its_own": "select '{{ env_var(\"HOME\") }}' as a",
    "writes_an_external_file": "{{ config(materialized='external') }} select 1 as a",
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine() as opened:
        yield opened


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> tuple[DbtProject, dict[str, str]]:
    """A project whose models attack, after one `dbt build` as a run has it: what failed, by model."""
    root = tmp_path_factory.mktemp("mesh") / "mesh"
    folder = root / "domains/canal"
    write(root.parent, {"public/data.csv": "a\n1\n"})
    write(root, {"domains/other/sources/wages.csv": "a\n1\n", ".storymesh/pseudonym.key": "secret"})
    write(
        folder,
        {"dbt_project.yml": "name: canal\nprofile: canal\n", "sources/ships.csv": "a\n7\n", "definitions.py": ""},
    )
    write(folder, {f"models/{name}.sql": text.replace("{{ root }}", str(root)) for name, text in REFUSED.items()})
    write(folder, {f"models/{name}.sql": text for name, text in ALLOWED.items()})
    (folder / "sources/link.csv").symlink_to(root / "domains/other/sources/wages.csv")
    (folder / "sources/team").symlink_to(root / "domains/other/sources")
    access = DbtAccess(read=((root / "../public").resolve(),), env=("REGION",))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("STORYMESH_PSEUDONYM_KEY", "AWS_SECRET_ACCESS_KEY", "REGION"):
            patch.setenv(name, f"value of {name}")
        project = prepare_dbt("canal", folder, root / ".storymesh", {}, engine, access)
        with preloaded_dbt(), pytest.raises(TransformFailed):
            run_dbt(project, "build")
    return project, {line.split(" ", 1)[0]: line for line in failed_nodes(project)}


@pytest.mark.parametrize("model", REFUSED)
def test_a_model_reaches_nothing_but_the_data_of_its_domain(
    model: str, built: tuple[DbtProject, dict[str, str]]
) -> None:
    assert model in built[1] and not any(word in built[1][model] for word in ("Parser Error", "Binder Error"))
    assert not list(Path("/tmp").glob("stolen_by_dbt*"))
    assert (built[0].folder / "definitions.py").read_text() == ""


@pytest.mark.parametrize("model", ALLOWED)
def test_a_model_does_what_it_is_there_for(model: str, built: tuple[DbtProject, dict[str, str]]) -> None:
    assert model not in built[1], built[1].get(model)


def test_a_model_sees_the_variables_that_the_operator_names_and_no_others(
    built: tuple[DbtProject, dict[str, str]], engine: Engine
) -> None:
    def value(model: str) -> Any:
        reader = engine.stream_database_table(built[0].database, model, built[0].folder, lambda names: names)
        return reader.read_all().to_pylist()[0]["a"]

    assert value("reads_a_variable_of_the_operator") == "value of REGION"
    assert value("reads_no_key") == value("reads_no_token") == "none"
    assert value("reads_a_home_of_its_own").startswith(str(built[0].project_dir.parent))


@pytest.mark.parametrize("server", ["", "a server that has gone"])
def test_the_process_leaves_the_environment_of_whoever_started_it(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    kept = {"DBT_TARGET_PATH": "/x", "DAGSTER_DBT_CLI": "true", "LC_ALL": "C", "REGION": "eu"}
    keys = (
        "STORYMESH_PSEUDONYM_KEY",
        "OPENAI_API_KEY",
        "AWS_SESSION_TOKEN",
        "PGPASSWORD",
        "PYTHONSTARTUP",
        "DBT_ENV_SECRET_TOKEN",
        "DBT_PASS",
        "DAGSTER_DBT_CLOUD_API_TOKEN",
        "LD_PRELOAD",
    )
    for name, text in {**kept, **dict.fromkeys(keys, "secret")}.items():
        monkeypatch.setenv(name, text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "execve", lambda *given: started.append(given))
    monkeypatch.setattr(
        sys, "argv", ["dbt_process", str(tmp_path), "a-home-of-dbt", "REGION,OTHER", "0", server, "build"]
    )
    dbt_process.main()
    ((program, arguments, environment),) = started
    assert (program, arguments[1:]) == (sys.executable, ["-P", "-m", "dbt.cli.main", "build"])
    assert kept.items() <= environment.items() and environment["HOME"] == "a-home-of-dbt"
    assert "secret" not in environment.values()


def endless_project(tmp_path: Path, engine: Engine, limit: timedelta) -> DbtProject:
    folder = tmp_path / "domains/canal"
    # As a view, which is what dbt makes without a word, nothing of it would run.
    table = "{{ config(materialized='table') }}"
    endless = f"{table} with recursive n(i) as (select 1 union all select i % 7 from n) select count(*) as a from n"
    write(folder, {"dbt_project.yml": "name: canal\nprofile: canal\n", "models/endless.sql": endless})
    return prepare_dbt("canal", folder, tmp_path / ".storymesh", {}, engine, DbtAccess(time_limit=limit))


def test_a_model_that_never_ends_is_ended(tmp_path: Path, engine: Engine) -> None:
    project = endless_project(tmp_path, engine, timedelta(seconds=3))
    with pytest.raises(TransformFailed, match="took longer than it may"):
        run_dbt(project, "build")


def test_in_a_run_dbt_ends_by_its_limit_and_with_whoever_asked_for_it(tmp_path: Path, engine: Engine) -> None:
    with preloaded_dbt():
        project = endless_project(tmp_path, engine, timedelta(seconds=1))
        with pytest.raises(TransformFailed, match="took longer than it may"):
            run_dbt(project, "build")
        project = endless_project(tmp_path, engine, timedelta(hours=6))
        command = [*project.command(), "build", *project.args]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, **project.env}) as process:
            wait_for(lambda: engine.describe_database_lock(project.database), "nobody builds")
            process.kill()
        wait_for(lambda: not engine.describe_database_lock(project.database), "dbt goes on")


def test_whoever_ends_a_run_does_not_wait_until_dbt_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    begin = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> "subprocess.Popen[bytes]":
        started.append(begin(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # what is ignored here the server ignores as it starts
    try:
        with preloaded_dbt():
            assert server_address()
    finally:
        signal.signal(signal.SIGTERM, before)
    (server,) = started
    assert server.poll() == -signal.SIGTERM


def wait_for(happened: Callable[[], Any], otherwise: str) -> None:
    ends = time.monotonic() + 600
    while not happened():
        assert time.monotonic() < ends, otherwise
        time.sleep(0.2)


@pytest.mark.parametrize("form", ["{}", '{{"info": {{"msg": "{}", "name": "x"}}}}'], ids=["text", "json"])
def test_the_models_at_which_dbt_was_ended_are_named(form: str, tmp_path: Path, engine: Engine) -> None:
    folder = tmp_path / "domains/canal"
    write(folder, {"dbt_project.yml": "name: canal\nprofile: canal\n"})
    project = prepare_dbt("canal", folder, tmp_path / ".storymesh", {}, engine)
    nodes = ("Began running node model.canal.before", "Running with dbt=1.11", "Began running node model.canal.quick")
    more = ("Began running node model.canal.endless", "Finished running node model.canal.quick")
    write(project.log_path, {"dbt.log": "".join(f"{form.format(line)}\n" for line in (*nodes, *more))})
    assert timeout_error(project, "build", project.log_path).message.endswith("was ended while it was at endless")


def test_the_limit_of_time_of_dbt_comes_from_the_settings(tmp_path: Path) -> None:
    assert DbtSettings.model_validate({"time_limit": "90m"}).time_limit == timedelta(minutes=90)
    for written in ("-1h", "soon", 6, "9999999999999w"):
        with pytest.raises(ValueError):
            DbtSettings.model_validate({"time_limit": written})


def test_a_file_of_the_domain_is_no_module_of_dbt(tmp_path: Path) -> None:
    (tmp_path / "yaml.py").write_text("raise SystemExit('a file of the domain ran')")
    (tmp_path / "storymesh").mkdir()
    command = dbt_process.dbt_command(str(tmp_path), str(tmp_path), "", 60)
    done = subprocess.run([*command, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "ran" not in done.stderr + done.stdout and done.returncode == 0


def findings(tmp_path: Path, engine: Engine, files: dict[str, str]) -> list[str]:
    folder = tmp_path / "domains/canal"
    write(folder, {"dbt_project.yml": "name: canal\nprofile: canal\n", "models/a.sql": "select 1 as a", **files})
    with pytest.raises(DefinitionErrors) as refused:
        prepare_dbt("canal", folder, tmp_path / ".storymesh", {}, engine)
    return [str(finding) for finding in refused.value.findings]


PROJECTS = {
    "a model in Python": {"models/evil.py": "def model(dbt, session): ..."},
    "a model in Python, in capitals": {"models/deep/EVIL.PY": "def model(dbt, session): ..."},
    "a model in Python in a folder of another name": {
        "dbt_project.yml": "name: canal\nmodel-paths: [code]\n",
        "code/evil.py": "",
    },
    "models of another team": {"dbt_project.yml": "name: canal\nmodel-paths: ['../other/models']\n"},
    "seeds of the machine": {"dbt_project.yml": "name: canal\nseed-paths: ['/etc']\n"},
    "macros of another team": {"dbt_project.yml": "name: canal\nmacro-paths: ['models/../../other']\n"},
    "packages of the machine": {"dbt_project.yml": "name: canal\npackages-install-path: /tmp/packages\n"},
    "a folder that is removed": {"dbt_project.yml": "name: canal\nclean-targets: ['../..']\n"},
    "a path by a template": {"dbt_project.yml": "name: canal\ndocs-paths: [\"{{ env_var('HOME') }}\"]\n"},
    "a path that is no text": {"dbt_project.yml": "name: canal\ntest-paths: [{a: b}]\n"},
    "a project that is a list": {"dbt_project.yml": "[1, 2]"},
    "a project that doubles": {
        "dbt_project.yml": "x0: &x0 [1, 1]\n" + "".join(f"x{n}: &x{n} [*x{n - 1}, *x{n - 1}]\n" for n in range(1, 30))
    },
    "a project of 100,000 levels": {"dbt_project.yml": "x: " + "[" * 100_000},
    "a project with a tag of Python": {"dbt_project.yml": "x: !!python/object/apply:os.system ['id']"},
}


@pytest.mark.parametrize("case", PROJECTS)
def test_a_project_that_dbt_should_not_read_is_a_finding(case: str, tmp_path: Path, engine: Engine) -> None:
    (found, *_) = findings(tmp_path, engine, PROJECTS[case])
    assert found.startswith("domains/canal/")


@pytest.mark.parametrize("place", ["models/b.sql", "macros/b.sql", "dbt_project.yml", "profiles.yml", "seeds/b.csv"])
@pytest.mark.parametrize("kind", ["a link out of the domain", "a named pipe", "a device"])
def test_a_file_that_is_not_the_domains_own_is_a_finding(kind: str, place: str, tmp_path: Path, engine: Engine) -> None:
    write(tmp_path, {"other.txt": "name: canal\n"})
    path = tmp_path / "domains/canal" / place
    folder = path.parents[len(Path(place).parts) - 1]
    write(folder, {"dbt_project.yml": "name: canal\n", "models/a.sql": "select 1"})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    match kind:
        case "a named pipe":
            os.mkfifo(path)
        case "a device":
            path.symlink_to("/dev/zero")
        case _:
            path.symlink_to(tmp_path / "other.txt")
    with pytest.raises(StorymeshError):
        prepare_dbt("canal", folder, tmp_path / ".storymesh", {}, engine)


def test_a_folder_behind_a_link_out_of_the_domain_is_a_finding(tmp_path: Path, engine: Engine) -> None:
    write(tmp_path, {"other/models/b.sql": "select 1"})
    (tmp_path / "domains/canal").mkdir(parents=True)
    (tmp_path / "domains/canal/macros").symlink_to(tmp_path / "other")
    assert "macros" in findings(tmp_path, engine, {})[0]


PROFILES = {
    "a plugin": "plugins: [{module: os}]",
    "a path of modules": "module_paths: ['.']",
    "an extension": "extensions: [httpfs]",
    "an attached database": "attach: [{path: /tmp/x.duckdb}]",
    "a file system": "filesystems: [{fs: s3}]",
    "a secret": "secrets: [{type: s3, provider: credential_chain}]",
    "credentials of the machine": "use_credential_provider: aws",
    "a server": "remote: {host: example.com, port: 1, user: x}",
    "options of DuckDB": "config_options: {allow_unsigned_extensions: true}",
    "a token": "motherduck_token: x",
    "a root elsewhere": "external_root: /tmp",
    "retries": "retries: {connect_attempts: 1000000}",
    "a setting that writes": "settings: {log_query_path: /tmp/x}",
    "a setting that unlocks": "settings: {enable_external_access: true}",
    "a setting with SQL": "settings: {\"threads = 1; copy (select 1) to '/tmp/x'; set threads\": 1}",
    "settings that are a list": "settings: [1]",
}


@pytest.mark.parametrize("case", PROFILES)
def test_a_profile_that_loads_code_or_opens_more_is_a_finding(case: str, tmp_path: Path, engine: Engine) -> None:
    profile = f"canal: {{target: dev, outputs: {{dev: {{type: duckdb, path: x.duckdb, {PROFILES[case]}}}}}}}"
    (found,) = findings(tmp_path, engine, {"profiles.yml": profile})
    assert found.startswith("domains/canal/profiles.yml:1:") and "error[profile]" in found


@pytest.mark.parametrize("path", ["../x.duckdb", "/tmp/x.duckdb", "link/x.duckdb", "md:x", "{{ env_var('X') }}"])
def test_a_profile_names_a_database_of_the_domain_itself(path: str, tmp_path: Path, engine: Engine) -> None:
    (tmp_path / "domains/canal").mkdir(parents=True)
    (tmp_path / "domains/canal/.link").symlink_to("/tmp")
    path = path.replace("link", ".link")
    profile = f'canal: {{target: dev, outputs: {{dev: {{type: duckdb, path: "{path}"}}}}}}'
    assert "profiles.yml" in findings(tmp_path, engine, {"profiles.yml": profile})[0]


def test_a_plain_profile_is_kept_and_confined(tmp_path: Path, engine: Engine) -> None:
    folder = tmp_path / "domains/canal"
    output = "{type: duckdb, path: build/x.duckdb, threads: 3, settings: {memory_limit: 1GB}}"
    profile = f"canal: {{target: dev, outputs: {{dev: {output}}}}}"
    write(
        folder,
        {"dbt_project.yml": "name: canal\nprofile: canal\n", "profiles.yml": profile, "models/a.sql": "select 1"},
    )
    project = prepare_dbt("canal", folder, tmp_path / ".storymesh", {}, engine)
    assert project.database == folder / "build/x.duckdb"
    written = (project.profiles_dir / "profiles.yml").read_text()
    assert project.profiles_dir != folder and "dbt_plugin" in written and "memory_limit: 1GB" in written


def test_an_operator_may_trust_a_domain_with_the_machine(tmp_path: Path, engine: Engine) -> None:
    folder = tmp_path / "domains/canal"
    profile = "canal: {target: dev, outputs: {dev: {type: duckdb, path: x.duckdb, module_paths: ['python']}}}"
    write(folder, {"dbt_project.yml": "name: canal\nprofile: canal\n", "profiles.yml": profile, "models/a.py": "x"})
    project = prepare_dbt("canal", folder, tmp_path / ".storymesh", {}, engine, DbtAccess(unconfined=True))
    assert project.profiles_dir == folder
    assert json.loads((tmp_path / ".storymesh/canal/dbt/allowed.json").read_text()) is None
    assert read_profile("canal", folder, tmp_path, unconfined=True).database == folder / "x.duckdb"


@pytest.mark.parametrize(
    "view",
    [
        "select content as a from read_text('/etc/hostname')",
        "select content as a from read_text('../other.txt')",
        "select * from read_csv('http://127.0.0.1:9/x')",
        "select current_setting('temp_directory') as a from read_text('/etc/hostname')",
    ],
)
def test_a_view_in_a_database_that_the_domain_brings_reads_nothing_else(
    view: str, tmp_path: Path, engine: Engine
) -> None:
    write(tmp_path, {"other.txt": "x", "canal/sources/a.csv": "a\n1\n", "x": "a\n1\n"})
    database = tmp_path / "canal/x.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"SET file_search_path = '{tmp_path}/canal'")
        # A view is written down without being looked at where its files are not there yet.
        connection.execute(f"CREATE VIEW ships AS {view.replace('http://127.0.0.1:9', str(tmp_path))}")
    only = [tmp_path / "canal/sources"]
    with pytest.raises(EngineFailed, match="Permission Error"):
        engine.stream_database_table(database, "ships", tmp_path / "canal", list, only=only).read_all()


@pytest.mark.parametrize("query", ["'Ann'::integer", "strptime('Ann', '%Y')", "('Ann' || '1')::date"])
def test_the_error_of_a_model_quotes_no_value(query: str, tmp_path: Path, engine: Engine) -> None:
    database = tmp_path / "x.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            f"CREATE VIEW ships AS SELECT {query.replace(chr(39) + 'Ann' + chr(39), 'name')} AS a "
            "FROM (SELECT unnest(['Ann']) AS name)"
        )
    with pytest.raises(EngineFailed) as raised:
        engine.stream_database_table(database, "ships", tmp_path, list).read_all()
    assert "Ann" not in str(raised.value)


@pytest.mark.parametrize("name", ["STORYMESH_PSEUDONYM_KEY", "storymesh_memory", "A=B", "", "A,B", "A B"])
def test_an_operator_cannot_name_a_variable_that_is_none_or_is_of_storymesh(name: str) -> None:
    with pytest.raises(ValueError):
        DbtSettings(env=(name,))


def test_what_an_operator_allows_is_written_relative_to_the_mesh() -> None:
    with pytest.raises(ValueError, match="relative to the mesh root"):
        DbtSettings(read=("/etc",))
