"""Where a domain's models stand, also when the domain brings its own profile."""

from pathlib import Path

import pytest

from storymesh.errors import DefinitionErrors
from storymesh.product.dbt_model_server import ModelServer
from storymesh.product.dbt_profile import models_place

PROFILE = "mine:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: build/mine.duckdb}\n"


def database(root: Path, profile: str | None) -> Path | ModelServer:
    folder = root / "domains/shipping"
    folder.mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: shipping\nprofile: mine\n")
    if profile is not None:
        (folder / "profiles.yml").write_text(profile)
    return models_place("shipping", folder, root / ".storymesh")


def test_a_domain_without_a_profile_gets_a_database_file_in_the_store(tmp_path: Path) -> None:
    assert database(tmp_path, None) == tmp_path / ".storymesh/shipping/dbt/shipping.duckdb"


def test_the_path_in_a_profile_is_relative_to_the_domain_folder(tmp_path: Path) -> None:
    assert database(tmp_path, PROFILE) == tmp_path / "domains/shipping/build/mine.duckdb"


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        (
            "mine:",
            "mein:",
            "1:1: error[profile]: there is no profile 'mine', which dbt_project.yml names (did you mean",
        ),
        (
            "target: dev",
            "target: prod",
            "2:11: error[profile]: the target 'prod' is not among the outputs (known: dev)",
        ),
        (
            "duckdb, ",
            "snowflake, ",
            "4:17: error[profile]: products are read from DuckDB or PostgreSQL, the target 'dev' is 'snowflake'",
        ),
        ("build/mine.duckdb", "':memory:'", "4:31: error[profile]: the path of the target 'dev' is ':memory:', a file"),
        ("{type: duckdb, path: build/mine.duckdb}", "nothing", "4:10: error[profile]: 'dev' has to hold fields"),
    ],
)
def test_a_profile_without_a_database_file_is_a_finding(old: str, new: str, finding: str, tmp_path: Path) -> None:
    with pytest.raises(DefinitionErrors) as raised:
        database(tmp_path, PROFILE.replace(old, new, 1))
    assert str(raised.value).startswith(f"domains/shipping/profiles.yml:{finding}")


SERVED = """mine:
  target: dev
  outputs:
    dev:
      type: postgres
      host: "{{ env_var('DB_HOST', 'db.example.com') }}"
      port: "{{ env_var('DB_PORT') | int }}"
      user: loader
      password: "{{ env_var('DB_PASSWORD') }}"
      dbname: books
      schema: marts
"""


def test_models_may_be_on_a_postgresql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = database(tmp_path, SERVED)
    assert isinstance(place, ModelServer)
    monkeypatch.setenv("DB_PORT", "5433")
    monkeypatch.setenv("DB_PASSWORD", "a-canary")
    server = place.opened()
    assert (server.field("host"), server.field("port"), server.field("schema")) == ("db.example.com", "5433", "marts")
    assert (server.credential("USER"), server.credential("PASSWORD")) == ("loader", "a-canary")
    assert "a-canary" not in repr(server) and "a-canary" not in server.words
    place.require(["DB_HOST", "DB_PORT", "DB_PASSWORD"])
    with pytest.raises(DefinitionErrors, match=r"9:17: .*dbt may not read the variable 'DB_PASSWORD' .let it: dbt: "):
        place.require(["DB_HOST", "DB_PORT"])


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        (
            "\"{{ env_var('DB_PASSWORD') }}\"",
            "hunter22",
            "9:17: error[secret]: a password stands in domains/shipping/p",
        ),
        ("user: loader", 'user: "{{ 1 + 1 }}"', "8:13: error[profile]: 'user' is more than a text and variables"),
        ("user: loader", "sslkey: x", "8:15: error[profile]: a profile of a PostgreSQL may not say 'sslkey'"),
        ("dbname: books", "threads: 2", "5:7: error[profile]: the target has no 'dbname' (write dbname: …)"),
    ],
)
def test_what_a_profile_of_a_server_may_not_say_is_a_finding(old: str, new: str, finding: str, tmp_path: Path) -> None:
    with pytest.raises(DefinitionErrors) as raised:
        database(tmp_path, SERVED.replace(old, new, 1))
    assert any(line.startswith(f"domains/shipping/profiles.yml:{finding}") for line in str(raised.value).splitlines())
