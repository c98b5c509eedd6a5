"""What is said of a dbt project without dbt is what dbt would say: of a sound one nothing."""

from pathlib import Path

from dbt.contracts.project import Project

from storymesh.engine.engine import Engine
from storymesh.product.dbt_files import read_dbt_project
from storymesh.product.dbt_messages import refusal_findings
from storymesh.product.dbt_project import prepare_dbt, run_dbt
from storymesh.product.dbt_syntax import PROJECT_KEYS, syntax_findings

SOUND = {
    "dbt_project.yml": "name: quay\nprofile: quay\nseed-paths: [lists]\nvars: {enough: 3}\n",
    "models/calls.sql": "select 1 as a, {{ 'x' | as_text | upper }} as b {# {{ ref('gone' #}\n",
    "models/late.sql": (
        "{{ config(materialized='table') }}\n{% set of = ['calls', 'ports'] %}{% do of.append('more') %}\n"
        "select * from {{ ref('calls') }}, {{ ref('quay', 'ports') }}, {{ source('raw', 'ships') }},\n"
        "  {{ source('desk', 'orders') }}, {{ ref('kept') }}, {{ ref('grown', v=2) }}\n"
        "{% if execute %}, {{ ref('never') }}{% endif %}{% for name in [] %}{{ ref(name) }}{% break %}{% endfor %}\n"
        "{% raw %}{{ ref('raw' }}{% endraw %} {{ aged('a') if false else ref('calls') }}\n"
        "{% call statement('x', fetch_result=false) %}select 1{% endcall %}\n"
    ),
    "models/off/calls.sql": "{{ config(enabled=false) }} select * from {{ ref('nowhere') }}\n",
    "models/grown_v2.sql": "select 1 as a\n",
    "models/properties.yml": (
        "version: 2\nmodels:\n  - name: grown\n    versions: [{v: 2}]\n  - name: calls\n    columns:\n"
        "      - {name: a, data_tests: [positive]}\nsources:\n  - {name: raw, tables: [{name: ships}]}\n"
    ),
    "macros/times.sql": (
        "{% macro aged(column, by=none) %}{{ column }} {% if by %}{{ caller() }}{% endif %}{% endmacro %}\n"
        "{% test positive(model, column_name) %}select 1 from {{ model }} where {{ column_name }} < 0{% endtest %}\n"
        "{% materialization odd, adapter='duckdb' %}{{ return({'relations': []}) }}{% endmaterialization %}\n"
    ),
    "lists/ports.csv": "a\n1\n",
    "snapshots/kept.sql": (
        "{% snapshot kept %}{{ config(unique_key='a', strategy='check', check_cols='all', target_schema='s') }}\n"
        "select * from {{ ref('calls') }}{% endsnapshot %}\n"
    ),
    "tests/some.sql": "select * from {{ ref('gone') }} where 1 = 0\n",
    "models/notes.md": "{% docs calls %}Ships {{ at }} the quay{% enddocs %}\n",
}


def test_of_what_dbt_parses_nothing_is_said(tmp_path: Path, engine: Engine) -> None:
    folder = tmp_path / "domains/quay"
    for name, text in {
        **SOUND,
        "models/desk.yml": "version: 2\nsources:\n  - {name: desk, tables: [{name: orders}]}\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    run_dbt(prepare_dbt("quay", folder, tmp_path / ".storymesh", {}, engine), "parse")
    (folder / "models/desk.yml").unlink()
    project = read_dbt_project(folder, tmp_path)
    assert syntax_findings(project, folder, tmp_path, {"desk.orders"}) == []
    assert [finding.message for finding in syntax_findings(project, folder, tmp_path, set())] == [
        "there is no source 'desk.orders'"
    ]
    assert syntax_findings(project, folder, tmp_path, None) == []


def test_the_fields_of_a_project_are_dbts() -> None:
    assert set(Project.json_schema()["properties"]) == PROJECT_KEYS


def test_words_of_dbt_lead_to_the_file_that_they_name(tmp_path: Path) -> None:
    folder = tmp_path / "domains/quay"
    (folder / "models/deep").mkdir(parents=True)
    for name in ("domain.yaml", "models/late.sql", "models/deep/schema.yml"):
        (folder / name).write_text("")
    said = {
        "Compilation Error in model late (models/late.sql) 'x' is undefined line 7 select": "models/late.sql:7:1",
        "Parsing Error Error reading quay: deep/schema.yml - near line 5 ---": "models/deep/schema.yml:5:1",
        "Compilation Error Documentation for 'model.quay.late' depends on doc 'x'": "models/late.sql:1:1",
        "Compilation Error in model x (../../secret.sql) line 3": "domain.yaml:1:1",
        "Internal Error": "domain.yaml:1:1",
    }
    for words, place in said.items():
        (finding,) = refusal_findings([words], "quay", tmp_path)
        assert str(finding).startswith(f"domains/quay/{place}: error[dbt]: dbt does not take it: "), finding


CONFIG = "{{ config(\n    materialized='table',\n    tags=['a']\n) }}\n"
WRONG_SQL = {
    "a word": ("select a\nform {{ ref('calls') }} where b", 2, "syntax error at or near the name of a relation"),
    "below a config": (f"{CONFIG}-- {{# a note\nof two lines #}}\nselct 1", 7, 'syntax error at or near "selct"'),
    "the end": ("with x as (\n  select * from {{ source('raw', 'ships') }}\n\n", 2, "syntax error at end of input"),
    "blanks cut": ("select a\n\n{{- ref('calls') }}\n\nfrom where b", 5, 'syntax error at or near "where"'),
    "a comma too many": ("select * from {{ ref('calls') }} c\nwhere a in (1,, 2)", 2, 'syntax error at or near ","'),
}
LEFT_TO_DBT = {
    "sound": f"{CONFIG}from {{{{ ref('calls') }}}}.a select a, 'it''s {{{{ ref(\"calls\") }}}}' where a > 1 -- note",
    "raw": "select '{% raw %}{{ ref( {% endraw %}' as a",
    "a pivot": "pivot {{ ref('calls') }} on a using count(*)",
    "a macro": "select a form {{ aged('a') }}",
    "a condition": "{% if execute %}select{% endif %} a form b",
    "a variable": "selct {{ var('enough') }}",
    "another relation": "select a form {{ this }}",
    "switched off": "{{ config(enabled=false) }} selct 1",
    "of one's own making": "{{ config(materialized='odd') }} selct 1",
    "nothing": "{{ config(tags=['a']) }}\n",
}


def of_model(folder: Path, text: str, **more: str) -> list[str]:
    files = {"dbt_project.yml": "name: quay\n", "models/calls.sql": "select 1 as a", "models/m.sql": text, **more}
    for name, content in files.items():
        path = folder / "domains/quay" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    project = read_dbt_project(folder / "domains/quay", folder)
    found = syntax_findings(project, folder / "domains/quay", folder, {"raw.ships"})
    return [f"{item.location.path.rpartition('/')[2]}:{item.location.line}: {item.message}" for item in found]


def test_errors_of_syntax_in_models_are_found_at_their_line(tmp_path: Path) -> None:
    for number, (text, line, words) in enumerate(WRONG_SQL.values()):
        expected = [f"m.sql:{line}: DuckDB does not parse this SQL: {words}"]
        assert of_model(tmp_path / str(number), text) == expected
    wrong = "selct 1"
    macro = "{% materialization odd, adapter='duckdb' %}{{ return({'relations': []}) }}{% endmaterialization %}"
    for name, more in {
        "macros": {"macros/a.sql": "{% macro ref(name) %}x{% endmacro %}"},
        "making": {"macros/a.sql": macro},
        "off": {"models/m.yml": "models: [{name: m, config: {enabled: false}}]\n"},
        "project": {"dbt_project.yml": "name: quay\nmodels: {quay: {+enabled: false}}\n"},
    }.items():
        assert of_model(tmp_path / name, wrong, **more) == []


def test_of_sql_that_only_dbt_can_know_nothing_is_said(tmp_path: Path) -> None:
    macros = {"macros/times.sql": SOUND["macros/times.sql"].partition("{% mat")[0]}
    for name, text in LEFT_TO_DBT.items():
        assert of_model(tmp_path / name, text, **macros) == []
