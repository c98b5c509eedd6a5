"""The `engine` of mesh.yaml: DuckDB, or Spark at one place, and no secret in the file."""

from typing import Any

import pytest
from pydantic import ValidationError

from storymesh.errors import WrongUsage
from storymesh.mesh.settings import Settings


@pytest.mark.parametrize("engine", ["duckdb", {}])
def test_duckdb_is_no_cluster(engine: Any) -> None:
    assert Settings(engine=engine).engine.open_cluster is None


@pytest.mark.parametrize(
    "spark",
    [
        {"master": "local[2]", "settings": {"spark.executor.memory": "4g"}},
        {"remote": "sc://spark.example.com:15002"},
        {"remote": "${SPARK_REMOTE:-sc://localhost}"},
        {"remote": "sc://host:443/;token=${TOKEN:-none};use_ssl=true"},
    ],
)
def test_spark_is_at_one_place(spark: Any) -> None:
    assert Settings(engine={"spark": spark}).engine.open_cluster is not None


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("spark", "there is no engine 'spark': write duckdb, or {spark: {remote: sc://host:15002}}"),
        ({"spark": {}}, "Spark runs at one place: write `remote: sc://host:15002` or `master: local"),
        ({"spark": {"remote": "sc://a", "master": "yarn"}}, "Spark runs at one place"),
        ({"spark": {"remote": "https://a"}}, "'https://a' is no address that begins with sc://"),
        ({"spark": {"remote": "sc://a/;token=dapi0123"}}, "a token stands in this file"),
        (
            {"spark": {"master": "yarn", "settings": {"executor.memory": "4g"}}},
            "'executor.memory' is no setting of Spark",
        ),
    ],
)
def test_what_is_wrong_is_said(engine: Any, words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Settings(engine=engine)
    assert words in str(raised.value)


def test_a_variable_that_is_not_set_is_said_when_spark_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    settings = Settings.model_validate({"engine": {"spark": {"remote": "${SPARK_REMOTE}"}}})
    with pytest.raises(WrongUsage, match=r"mesh\.yaml has Spark at \$\{SPARK_REMOTE\}, and SPARK_REMOTE is not set"):
        _ = settings.engine.open_cluster
