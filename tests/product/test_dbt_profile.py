"""Where a domain's models stand, also when the domain brings its own profile."""

from pathlib import Path

import pytest

from storymesh.errors import DefinitionErrors
from storymesh.product.dbt_profile import domain_database_path

PROFILE = "mine:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: build/mine.duckdb}\n"


def database(root: Path, profile: str | None) -> Path:
    folder = root / "domains/shipping"
    folder.mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: shipping\nprofile: mine\n")
    if profile is not None:
        (folder / "profiles.yml").write_text(profile)
    return domain_database_path("shipping", folder, root / ".storymesh")


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
            "postgres, ",
            "4:17: error[profile]: products are read from DuckDB, the target 'dev' is 'postgres'",
        ),
        ("build/mine.duckdb", "':memory:'", "4:31: error[profile]: the path of the target 'dev' is ':memory:', a file"),
        ("{type: duckdb, path: build/mine.duckdb}", "nothing", "4:10: error[profile]: 'dev' has to hold fields"),
    ],
)
def test_a_profile_without_a_database_file_is_a_finding(old: str, new: str, finding: str, tmp_path: Path) -> None:
    with pytest.raises(DefinitionErrors) as raised:
        database(tmp_path, PROFILE.replace(old, new, 1))
    assert str(raised.value).startswith(f"domains/shipping/profiles.yml:{finding}")
