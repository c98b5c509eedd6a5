"""What `deploy/` holds fits the mesh, the programs that it starts and Dagster's own schema, as far as that shows
without a container: whoever adds a domain is told to add its service."""

import re
from typing import Any

import click
import pytest
import yaml

from storymesh.mesh.mesh import Settings, load_mesh
from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"
SECRET = re.compile(r"password|secret|key$", re.IGNORECASE)


def load_yaml(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def locations() -> dict[str, str]:
    """Location -> its file, as the mesh's own workspace.yaml has them."""
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))
    files = [item["python_file"] for item in workspace["load_from"]]
    assert {file["location_name"] for file in files} == {*load_mesh(ROOT).domains, "narratives"}
    return {file["location_name"]: file["relative_path"] for file in files}


def argument(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


def _is_ours(service: dict[str, Any]) -> bool:
    return str(service["image"]).startswith("storymesh")


def commands() -> dict[str, list[str]]:
    """Every command of ours that a container starts, by its service."""
    services = load_yaml("compose.yaml")["services"]
    found = {
        name: service["command"] for name, service in services.items() if "command" in service and _is_ours(service)
    }
    last = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").rstrip().rpartition("\nCMD ")[2]
    helm = load_yaml("values.yaml")["dagster-user-deployments"]["deployments"]
    started = ["dagster", "code-server", "start", "--host", "0.0.0.0", "--port", "4000"]
    helm_commands = {f"{item['name']} of helm": [*started, *item["codeServerArgs"]] for item in helm}
    return {**found, **helm_commands, "the image": yaml.safe_load(last)}


def test_every_code_location_has_a_service(locations: dict[str, str]) -> None:
    services = load_yaml("compose.yaml")["services"]
    servers = {
        item["grpc_server"]["location_name"]: item["grpc_server"] for item in load_yaml("workspace.yaml")["load_from"]
    }
    assert set(servers) == set(locations)
    helm = {
        deployment["name"]: deployment
        for deployment in load_yaml("values.yaml")["dagster-user-deployments"]["deployments"]
    }
    assert set(helm) == set(locations)
    claims = {item["volumes"][0]["persistentVolumeClaim"]["claimName"] for item in helm.values()}
    assert len(claims) == len(helm), "each location has a volume of its own"
    for name, file in locations.items():
        command = services[servers[name]["host"]]["command"]
        assert argument(command, "--python-file") == file
        assert argument(command, "--location-name") == name
        assert argument(command, "--port") == str(servers[name]["port"])
        assert argument(helm[name]["codeServerArgs"], "--python-file") == f"/srv/mesh/{file}"
        assert argument(helm[name]["codeServerArgs"], "--location-name") == name


def test_the_programs_have_the_options_that_they_are_started_with() -> None:
    from dagster._cli import create_dagster_cli
    from dagster._daemon.cli import create_dagster_daemon_cli
    from dagster_webserver.cli import create_dagster_webserver_cli

    programs = {
        "dagster": create_dagster_cli(),
        "dagster-daemon": create_dagster_daemon_cli(),
        "dagster-webserver": create_dagster_webserver_cli(),
    }
    checks = [
        service["healthcheck"]["test"]
        for service in load_yaml("compose.yaml")["services"].values()
        if "healthcheck" in service and _is_ours(service)
    ]
    for service, (name, *words) in [
        *commands().items(),
        *((f"health {n}", check[1:]) for n, check in enumerate(checks)),
    ]:
        if name == "python":
            compile(words[-1], service, "exec")
            continue
        program = programs[name]
        while words and not words[0].startswith("-"):
            found = program.get_command(click.Context(program), words.pop(0))
            assert found is not None, service
            program = found
        known = {option for parameter in program.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, service


def test_dagster_accepts_the_instance_and_workspace_files(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._core.instance.config import dagster_instance_config
    from dagster._core.workspace.config_schema import ensure_workspace_config

    for name in ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"):
        monkeypatch.setenv(name, "5432")
    settings, custom = dagster_instance_config(str(DEPLOY))
    assert custom is None
    assert settings["storage"]["postgres"]["postgres_db"]["password"] == {"env": "PGPASSWORD"}
    assert settings["telemetry"] == settings["nux"] == {"enabled": False}
    assert ensure_workspace_config(load_yaml("workspace.yaml"), str(DEPLOY / "workspace.yaml"))


def test_the_mesh_settings_are_valid() -> None:
    settings = Settings.model_validate(load_yaml("mesh.yaml"))
    assert settings.store.warehouse == "${STORYMESH_WAREHOUSE}"
    assert settings.store.catalog == "postgresql+psycopg2://"


def test_no_file_contains_a_secret() -> None:
    def secrets(value: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
        if isinstance(value, dict):
            return [found for name, item in value.items() for found in secrets(item, (*path, str(name)))]
        if isinstance(value, list):
            return [found for place, item in enumerate(value) for found in secrets(item, (*path, str(place)))]
        return [(path, value)] if SECRET.search(path[-1]) else []

    found = secrets(load_yaml("compose.yaml"))
    assert len(found) >= 4
    for path, value in found:
        assert re.match(r"^\$\{\w+:\?", str(value)), f"{'.'.join(path)} is not asked for: {value}"


def test_services_are_pinned_have_health_checks_and_listen_only_locally() -> None:
    for name, service in load_yaml("compose.yaml")["services"].items():
        image, _, tag = service["image"].partition(":")
        assert tag not in ("", "latest"), f"{name}: {image} has no version"
        assert name == "make-bucket" or "healthcheck" in service, name
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name} is open to everybody"
        for volume in (item.partition(":")[0] for item in service.get("volumes", ())):
            assert volume in load_yaml("compose.yaml")["volumes"] or (DEPLOY / volume).is_file(), f"{name}: {volume}"


def test_the_image_is_built_from_existing_files_and_does_not_run_as_root() -> None:
    text = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    known = {"FROM", "COPY", "RUN", "WORKDIR", "ENV", "USER", "EXPOSE", "CMD"}
    assert {instruction for instruction, _ in lines} <= known
    carried = set((DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines())
    for instruction, rest in lines:
        if instruction == "FROM":
            assert re.match(r"python:3\.11-\S+", rest), f"{rest}: the library needs Python 3.11"
        if instruction == "COPY" and "--from" not in rest:
            for source in [word for word in rest.split() if not word.startswith("--")][:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in carried, f"{source} is not sent to whoever builds"
    users = [rest for instruction, rest in lines if instruction == "USER"]
    assert users == ["storymesh"]
    assert text.count("--require-hashes") == 1


def test_the_chart_has_the_locked_version_of_dagster() -> None:
    import dagster as dg

    assert f"--version {dg.__version__} " in (DEPLOY / "values.yaml").read_text(encoding="utf-8")
    values = load_yaml("values.yaml")
    assert values["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"
    assert (
        values["pythonLogs"]["dagsterHandlerConfig"]
        == load_yaml("dagster.yaml")["python_logs"]["dagster_handler_config"]
    )
    launcher = values["runLauncher"]["config"]["customRunLauncher"]
    assert hasattr(__import__(launcher["module"]), launcher["class"])
