"""A domain's dbt project runs as it is: the platform supplies profile, folders and the products that it reads."""

from dataclasses import replace
from pathlib import Path

import pytest

from storymesh.engine.engine import Engine
from storymesh.errors import TransformFailed
from storymesh.product.dbt_project import allowed_paths, prepare_dbt, run_dbt
from storymesh.product.sources.open import open_product_rows
from tests.product.conftest import Desk, good_rows

MODEL = """\
select id, "at", code, hours, cost from {{ source('shipping', 'delays') }}
union all
select id, "at"::timestamp, code, hours::bigint, cost::decimal(9, 2) from read_csv('sources/more.csv', header = true)
"""


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_a_dbt_project_reads_published_products_and_its_own_files_and_is_not_changed(
    desk: Desk, engine: Engine
) -> None:
    snapshot = desk.publish(good_rows(3)).snapshot
    assert snapshot is not None
    folder = desk.root / "domains/canal"
    files = {
        "dbt_project.yml": "name: canal\nprofile: canal\n",
        "models/staging/delays.sql": MODEL,
        "sources/more.csv": "id,at,code,hours,cost\nd9,2024-03-01,C,0,1.5\n",
        "seeds/codes.csv": "code\nC\n",
    }
    write(folder, files)
    inputs, without_rows = {"shipping.delays": snapshot}, {"shipping.delays": replace(snapshot, files=())}
    store = desk.root / ".storymesh"
    run_dbt(prepare_dbt("canal", folder, store, without_rows, engine, only_parsed=True), "parse")
    project = prepare_dbt("canal", folder, store, inputs, engine)
    run_dbt(project, "build")
    assert "Unable to do partial parsing" not in (project.log_path / "dbt.log").read_text(encoding="utf-8")
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(files)
    allowed = allowed_paths("canal", desk.root / ".storymesh")
    reader = open_product_rows(desk.product(), desk.contract(), folder, project.database, engine, allowed)
    rows = reader.read_all()
    assert sorted(rows.column("id").to_pylist()) == ["d0", "d1", "d2", "d9"]
    assert project.env["DO_NOT_TRACK"] == "1"


def test_a_failed_model_is_reported_with_its_file_and_the_message_of_dbt(desk: Desk, engine: Engine) -> None:
    folder = desk.root / "domains/canal"
    write(
        folder,
        {
            "dbt_project.yml": "name: canal\nprofile: canal\n",
            "models/good.sql": "select 1 as a",
            "models/bad.sql": "select nope from {{ ref('good') }}",
            "models/ragged.sql": "select * from read_csv('sources/ragged.csv', delim = ';', header = true)",
            "sources/ragged.csv": "id;day;who\n1;2024-01-01;Ann\n2;2024-01-02;CZ12\n3;CZ13\n",
        },
    )
    project = prepare_dbt("canal", folder, desk.root / ".storymesh", {}, engine)
    with pytest.raises(TransformFailed) as raised:
        run_dbt(project, "build")
    assert "bad (domains/canal/models/bad.sql): Runtime Error" in str(raised.value)
    assert 'Referenced column "nope" not found' in str(raised.value)
    assert "sources/ragged.csv: line 4 has 2 fields, 3 are wanted" in str(raised.value)
    assert "CZ1" not in str(raised.value)
    assert "Traceback" not in str(raised.value)
    write(folder, {"models/bad.sql": "select 1 from {{ ref('god') }}"})
    with pytest.raises(TransformFailed, match="depends on a node named 'god'"):
        run_dbt(prepare_dbt("canal", folder, desk.root / ".storymesh", {}, engine), "build")


def test_models_alone_are_a_dbt_project(desk: Desk, engine: Engine) -> None:
    folder = desk.root / "domains/canal-desk"
    write(folder, {"models/good.sql": "select 1 as a"})
    project = prepare_dbt("canal-desk", folder, desk.root / ".storymesh", {}, engine)
    run_dbt(project, "build")
    assert project.database.exists()
    assert [path.name for path in folder.iterdir()] == ["models"]


def test_a_domain_without_a_dbt_project_gets_a_hint_what_to_add(desk: Desk, engine: Engine) -> None:
    with pytest.raises(TransformFailed, match="there is no dbt project"):
        prepare_dbt("canal", desk.root, desk.root / ".storymesh", {}, engine)
