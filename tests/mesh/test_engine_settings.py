"""The `engine` of mesh.yaml: DuckDB, or Spark at one place, and no secret in the file."""

from typing import Any

import pytest
from pydantic import ValidationError

from storymesh.errors import WrongUsage
from storymesh.mesh.settings import Settings

SECRET = "a token stands in this file; leave it to the environment: ;token=${NAME}"
REMOTES = {
    "sc://a/;token=dapi0123": SECRET,
    "sc://a/;Token=dapi0123": SECRET,
    "sc://a/;use_ssl=true;token=${TOKEN:-dapi0123}": SECRET,
    "sc://a/;token=dapi${TOKEN}": SECRET,
    "sc://a/;x-api-key=dapi0123": SECRET,
    "sc://a/;Authorization=Basic abc": SECRET,
    "${SPARK_REMOTE:-sc://a/;token=dapi0123}": SECRET,
    "sc://me:${SPARK_PASSWORD:-geheim}@a": "a password stands in this file",
    "sc://": "'sc://' names no host: write sc://host:15002",
    "sc://a:port": "'sc://a:port' is no address: port could not be cast to integer value as 'port'",
    "sc://a:99999": "'sc://a:99999' is no address: port out of range 0-65535",
    "sc://[::1": "'sc://[::1' is no address: invalid ipv6 url",
    "sc://a/folder": "'/folder' stands behind the host, where only parameters may: sc://host:15002/;name=value",
    "sc://a/;use_ssl": "'use_ssl' is no parameter of an address: write sc://host:15002/;name=value",
}
MASTERS = {
    "": "'' is no master of Spark: write local[2], yarn, spark://host:7077 or k8s://https://host",
    "lokal[2]": "'lokal[2]' is no master of Spark",
    "sc://a": "'sc://a' is the address of a Spark Connect server: write it as `remote`",
}
SETTINGS = {
    "executor.memory": "'executor.memory' is no setting of Spark: they begin with spark.",
    "spark.sql.session.timeZone": "'spark.sql.session.timeZone' is 'UTC' in every session, for records hang on it",
    "spark.hadoop.fs.s3a.secret.key": "a secret stands in this file: leave 'spark.hadoop.fs.s3a.secret.key' to the",
    "spark.ssl.keyPassword": "a secret stands in this file",
}


@pytest.mark.parametrize("engine", ["duckdb", {}])
def test_duckdb_is_no_cluster(engine: Any) -> None:
    assert Settings(engine=engine).engine.open_cluster is None


@pytest.mark.parametrize(
    "spark",
    [
        {"master": "local[2]", "settings": {"spark.executor.memory": "4g"}},
        {"remote": "sc://spark.example.com:15002"},
        {"remote": "${SPARK_REMOTE:-sc://localhost}"},
        {"remote": "sc://host:443/;token=${TOKEN:-};use_ssl=true;x-room=7"},
        {"remote": "sc://${HOST:-spark}:${PORT:-15002}"},
        {"master": "${MASTER:-spark://host:7077}"},
        {"master": "local-cluster[2, 1, 1024]"},
        {"master": "k8s://https://host:6443", "settings": {"spark.hadoop.fs.s3a.secret.key": "${KEY:-}"}},
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
        ({"spark": None}, "nothing says where Spark runs: write duckdb, or {spark: {remote: sc://host:15002}}"),
        (None, "'engine' names no engine: write duckdb"),
        (["spark"], "'engine' names no engine: write duckdb"),
        (True, "there is no engine 'True': write duckdb"),
        (
            {"duckdb": {"memory": "4GB"}},
            "duckdb has no settings here: write engine: duckdb; its memory and threads are",
        ),
        *(({"spark": {"remote": remote}}, words) for remote, words in REMOTES.items()),
        *(({"spark": {"master": master}}, words) for master, words in MASTERS.items()),
        *(({"spark": {"master": "yarn", "settings": {name: "abc"}}}, words) for name, words in SETTINGS.items()),
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


def test_numbers_and_switches_of_spark_want_no_quotes() -> None:
    spark = {"master": "yarn", "settings": {"spark.executor.instances": 8, "spark.dynamicAllocation.enabled": False}}
    settings = Settings.model_validate({"engine": {"spark": spark}}).engine.spark
    assert settings is not None
    assert dict(settings.settings) == {"spark.executor.instances": "8", "spark.dynamicAllocation.enabled": "false"}
