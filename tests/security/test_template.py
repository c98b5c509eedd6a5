"""A template or a fact of a stranger costs no more than a bound that is known before it is rendered, and the engine and
the interpreter stop at the same place."""

from datetime import datetime
from pathlib import Path

import pytest

from storymesh.case.definition import Within
from storymesh.dataset.build import Build
from storymesh.dataset.preview import preview_records
from storymesh.dataset.render import TOO_MANY_CHARACTERS, TOO_MANY_STEPS
from storymesh.dataset.stages import write_cases, write_records
from storymesh.document import parse_document
from storymesh.errors import DefinitionErrors, StorymeshError
from storymesh.language.bounds import MAX_CHARACTERS, MAX_STEPS, template_cost
from storymesh.language.parse import parse_expression, parse_template
from storymesh.language.typecheck.templates import check_template
from storymesh.location import Location
from storymesh.narrative.definition import NarrativeFile
from storymesh.narrative.split_definition import Split
from tests.support.generated import SCOPE
from tests.support.small_build import build_of
from tests.support.small_mesh import Product

NARRATIVE = """apiVersion: storymesh/v1
kind: Narrative
id: bounds
version: 1.0.0
title: What a text may cost
owner: us@example.com
license: cc0-1.0
cast: {a: mesh.anchors@1, b: mesh.rows@1}
case:
  anchor: a
  at: a.at
  links: {b: {on: {anchor: a.id}, within: {after: -9d, before: 9d}, expect: any}}
  facts: {FACTS}
records:
  report: {format: text, text: report.jinja}
dataset: {personal: "off"}
"""
ANCHORS = Product(
    "anchors", {"id": "string", "at": "timestamp", "note": "string"}, event="at", required=("id", "at", "note")
)
ROWS = Product(
    "rows",
    {"id": "string", "anchor": "string", "at": "timestamp", "word": "string"},
    event="at",
    required=("id", "anchor", "at", "word"),
)
DAY = datetime(2024, 1, 1)


def build(tmp_path: Path, template: str, counts: list[int], note: str = "n", facts: str = "") -> Build:
    """A build of one case for each count, which has so many rows."""
    anchors = [{"id": f"c{count}", "at": DAY, "note": note} for count in counts]
    rows = [
        {"id": f"c{count}-{number}", "anchor": f"c{count}", "at": DAY, "word": f"w{number % 7}"}
        for count in counts
        for number in range(count)
    ]
    products = {"a": ANCHORS, "b": ROWS}
    return build_of(tmp_path, NARRATIVE.replace("FACTS", facts), template, products, {"a": anchors, "b": rows})


def told_by_both(made: Build, counts: list[int]) -> dict[int, str]:
    """The reason for which the case of a count has no record (empty: it has one), which the engine and the interpreter
    agree on, as they do on the texts."""
    write_cases(made)
    result = write_records(made, "report")
    with made.open_engine() as engine:
        records = engine.fetch_rows(engine.read_parquet(result.path))
        drops = engine.fetch_rows(engine.read_parquet(made.files.rendered_drops("report")))
    by_engine = {row["case_id"]: "" for row in records} | {row["case_id"]: row["reason"] for row in drops}
    texts = {row["case_id"]: row["text"] for row in records}
    for count in counts:
        case_id = f"c{count}"
        if by_engine[case_id]:
            with pytest.raises(StorymeshError) as refused:
                preview_records(made, "report", case_id)
            assert by_engine[case_id] in str(refused.value)
        else:
            (record,) = preview_records(made, "report", case_id)
            assert record["text"] == texts[case_id]
    return {count: by_engine[f"c{count}"] for count in counts}


# --- one meaning of the bound ---


def test_loops_in_loops_stop_at_the_same_place_on_the_engine_and_in_the_interpreter(tmp_path: Path) -> None:
    counts = [0, 1, 3, 12, 25, 40, 171]
    template = "".join(f"{{% for {name} in b %}}" for name in "wxyz") + "." + "{% endfor %}" * 4
    told = told_by_both(build(tmp_path, template, counts), counts)
    assert [count for count, reason in told.items() if reason == TOO_MANY_STEPS] == [40, 171]
    assert [count for count, reason in told.items() if not reason] == [0, 1, 3, 12, 25]


@pytest.mark.parametrize(
    "template",
    [
        "{% for x in b %}{{ b | selectattr('word', '==', x.word) | length }}{% endfor %}",
        "{% for x in b %}{{ b | sort(attribute='word') | map(attribute='word') | first | default('') }}{% endfor %}",
        "{% for x in b %}{% if x.word in b | map(attribute='id') %}x{% endif %}{% endfor %}",
        "{% for x in b %}{% set n = b | map(attribute='word') | join %}{% endfor %}.",
        "{{ b | unique(attribute='id') | length }}",
    ],
    ids=["select", "sort", "in", "join", "unique"],
)
def test_work_on_a_list_counts_as_a_loop_over_it(
    tmp_path: Path, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storymesh.dataset.render.MAX_STEPS", 20_000)
    told = told_by_both(build(tmp_path, template, [5, 200]), [5, 200])
    assert told == {5: "", 200: TOO_MANY_STEPS}


def test_a_loop_over_the_values_of_a_long_list_counts_as_many_rounds_as_there_are_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storymesh.dataset.render.MAX_STEPS", 20_000)
    grouped = (
        "{% for w in b | map(attribute='PROPERTY') | unique | sort %}"
        "{{ w }}: {{ b | selectattr('PROPERTY', 'eq', w) | length }}{% endfor %}"
    )
    few = build(tmp_path / "few", grouped.replace("PROPERTY", "word"), [0, 5, 200])  # seven words
    assert told_by_both(few, [0, 5, 200]) == {0: "", 5: "", 200: ""}
    many = build(tmp_path / "many", grouped.replace("PROPERTY", "id"), [5, 200])
    assert told_by_both(many, [5, 200]) == {5: "", 200: TOO_MANY_STEPS}


def test_texts_that_double_stop_before_they_are_made(tmp_path: Path) -> None:
    template = "{% set x = a.note %}" + "{% set x = x ~ x %}" * 14 + "{{ x | length }}"
    assert told_by_both(build(tmp_path, template, [1], note="n" * 9_000), [1]) == {1: TOO_MANY_CHARACTERS}
    assert told_by_both(build(tmp_path / "small", template, [1], note="n" * 100), [1]) == {1: ""}


def test_a_replacement_by_data_stops_before_it_grows(tmp_path: Path) -> None:
    template = "{{ a.note | replace('n', a.note) | length }}"
    assert told_by_both(build(tmp_path, template, [1], note="n" * 60_000), [1]) == {1: TOO_MANY_CHARACTERS}
    assert told_by_both(build(tmp_path / "small", template, [1], note="n" * 500), [1]) == {1: ""}


def test_a_long_text_in_loops_in_loops_stops_before_it_is_made(tmp_path: Path) -> None:
    template = "{% for x in b %}{% for y in b %}{{ a.note }}{% endfor %}{% endfor %}"
    assert told_by_both(build(tmp_path, template, [200], note="n" * 60_000), [200]) == {200: TOO_MANY_CHARACTERS}


def test_a_template_without_loops_in_loops_has_no_bound_to_compute() -> None:
    template = "{{ t }}{% for x in rows %}{{ x.n }}{% endfor %}{{ rows | length }}"
    cost = template_cost(check_template(parse_template(template, "t", "d/t"), SCOPE, lambda name: None).tree)
    assert not cost.bounds_steps and not cost.bounds_characters


@pytest.mark.parametrize(
    ("template", "looked_at"),
    [
        ("{{ t }}" * 256, False),
        ("{{ t }}" * 257, True),
        ("{% for x in rows %}" + "a" * 16_384 + "{% endfor %}", False),
        ("{% for x in rows %}" + "a" * 16_385 + "{% endfor %}", True),
    ],
    ids=["copies", "many copies", "text for each item", "long text for each item"],
)
def test_many_copies_and_long_texts_for_each_item_are_looked_at(template: str, looked_at: bool) -> None:
    tree = check_template(parse_template(template, "t", "d/t"), SCOPE, lambda name: None).tree
    assert template_cost(tree).bounds_characters is looked_at


# --- what is too much whatever the data is: a finding ---

TOO_MUCH = {
    "a literal doubled": "{% set x = 'aaaaaaaa' %}" + "{% set x = x ~ x %}" * 30 + "{{ x }}",
    "a value doubled": "{% set x = t %}" + "{% set x = x ~ x %}" * 30 + "{{ x }}",
    "a value joined to itself": "{% set x = t %}" + "{% set x = [x, x, x, x] | join %}" * 12 + "{{ x }}",
    "a value listed with itself": "{% set x = t %}" + "{% set x = [x, x, x, x] | listing %}" * 12 + "{{ x }}",
    "a value replaced by itself": "{% set x = t %}" + "{% set x = x | replace('a', x) %}" * 12 + "{{ x }}",
    "a value behind a filter": "{% set x = t %}" + "{% set x = (x ~ x) | upper | trim %}" * 30 + "{{ x }}",
    "a value in a default": "{% set x = t %}" + "{% set x = (x ~ x) | default(x) %}" * 30 + "{{ x }}",
    "a value in a choice": "{% set x = t %}" + "{% set x = (x ~ x) if n > 1 else x %}" * 30 + "{{ x }}",
    "a value in branches": "{% set x = t %}"
    + "{% if n > 1 %}{% set x = x ~ x %}{% else %}{% set x = x ~ '.' %}{% endif %}" * 30
    + "{{ x }}",
    "doubling that nothing prints": "{% set x = t %}" + "{% set x = x ~ x %}" * 30 + "{% if x == 'a' %}.{% endif %}",
    "doubling in a loop": "{% for r in rows %}{% set x = t %}" + "{% set x = x ~ x %}" * 30 + "{{ x }}{% endfor %}",
    "loops over lists that are written out": "".join(
        f"{{% for x{depth} in [{', '.join('1' * 30)}] %}}" for depth in range(8)
    )
    + "." + "{% endfor %}" * 8,
    "choose among very many": "{% set x = choose(" + ", ".join(["t ~ t ~ t"] * 2_000) + ") %}"
    + "{% set x = x ~ x %}" * 20 + "{{ x }}",
}  # fmt: skip


@pytest.mark.parametrize("name", TOO_MUCH)
def test_a_template_that_is_too_much_for_any_data_is_a_finding(name: str) -> None:
    checked = check_template(parse_template(TOO_MUCH[name], "t", "d/t"), SCOPE, lambda name: None)
    assert template_cost(checked.tree).static_fault


def test_that_finding_is_in_the_template(tmp_path: Path) -> None:
    with pytest.raises(DefinitionErrors, match=r"report\.jinja:1:1: error\[too-large\]"):
        build(tmp_path, "{% set x = a.note %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}", [1])


FACTS = {
    "joined": "a{n}: a{m} ~ a{m}",
    "replaced": "a{n}: 'a{m} | replace(a{m}, a{m} ~ a{m})'",
    "listed": "a{n}: '[a{m}, a{m}, a{m}] | join'",
    "chosen": 'a{n}: a{m} ~ a{m} if a{m} == "x" else a{m}',
}


@pytest.mark.parametrize("name", FACTS)
def test_facts_that_double_each_other_are_a_finding(tmp_path: Path, name: str) -> None:
    facts = ", ".join(["a0: a.note", *(FACTS[name].format(n=n, m=n - 1) for n in range(1, 26))])
    with pytest.raises(DefinitionErrors, match="copies of one value"):
        build(tmp_path, "x", [1], facts=facts)


def test_facts_that_read_each_other_once_are_none(tmp_path: Path) -> None:
    facts = ", ".join(["a0: a.note", *(f"a{n}: a{n - 1} ~ '.'" for n in range(1, 26))])
    assert build(tmp_path, "{{ a25 | default('') }}", [1], facts=facts).configs == ("report",)


# --- numbers, durations and dates that nothing holds ---


@pytest.mark.parametrize(
    "text",
    [
        "9" * 5_000,
        "-" + "9" * 5_000,
        "1" + "_0" * 5_000,
        "9" * 5_000 + ".5",
        "1e99999",
        "0x" + "f" * 5_000,
        "0b" + "1" * 9_000,
        "9223372036854775808",
        "n | number(" + "9" * 5_000 + ")",
        "n | number(digits=99)",
        "n | round(13)",
        "f | percent(9999999999)",
    ],
    ids=lambda text: text[:20],
)
def test_a_number_that_does_not_fit_is_a_finding(text: str) -> None:
    with pytest.raises(DefinitionErrors, match=r"too-large|wrong-type"):
        check_template(parse_template(f"{{{{ {text} }}}}", "t", "d/t"), SCOPE, lambda name: None)


def test_such_a_number_in_yaml_is_a_finding_at_its_place() -> None:
    with pytest.raises(DefinitionErrors, match=r"n\.yaml:3:8: error\[too-large\]"):
        parse_expression("1 + " + "9" * 6_000, Location("n.yaml", 3, 4))


@pytest.mark.parametrize(
    "text",
    [
        "9" * 400 + "d",
        "9" * 5_000 + "s",
        "99999999999d",
        "999999999999w",
        "36526d",
        "1d" * 40_000,
        "٣d",
        "1d\n",
        "1.5d",
        "",
    ],
    ids=lambda text: text[:12],
)
def test_a_duration_that_nothing_holds_is_a_finding(text: str) -> None:
    value = f'"{text}"'.replace("\n", "\\n")
    document = parse_document(f"after: {value}\nbefore: 1d\n", "narrative.yaml")
    with pytest.raises(DefinitionErrors, match=r"is no duration|longer than a hundred years"):
        document.parse(Within)


@pytest.mark.parametrize(
    "text",
    [
        "{validation: 0001-01-01, test: 2024-01-01, embargo: 9d}",
        "{validation: 0999-12-31, test: 0999-12-31}",
        "{validation: 99999-01-01, test: 2024-01-01}",
        "{validation: 2024-13-01, test: 2024-01-01}",
        "{validation: .inf, test: 2024-01-01}",
        "{validation: -1, test: 2024-01-01}",
        "{validation: 9999999999999999999999, test: 2024-01-01}",
        "{random: {validation: .nan, test: 0.1}}",
        "{random: {validation: .inf, test: 0.1}}",
        "{random: {validation: 1e-400, test: 0.1, seed: 99999999999999999999999999}}",
    ],
)
def test_a_split_that_no_moment_fits_is_a_finding(text: str) -> None:
    with pytest.raises(DefinitionErrors):
        parse_document(text, "narrative.yaml").parse(Split)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", '"bounds\\n"'),
        ("id", "../../out"),
        ("version", '"1.0.0\\n"'),
        ("version", "1.0.0-r1/../../out"),
        ("version", "١.٠.٠"),
        ("version", "9" * 5_000 + ".0.0"),
        ("cast", '{a: "mesh.anchors@1\\n"}'),
        ("cast", "{a: mesh.anchors@" + "9" * 5_000 + "}"),
        ("cast", "{../a: mesh.anchors@1}"),
        ("records", "{../report: {format: text, text: report.jinja}}"),
        ("records", '{"report\\n": {format: text, text: report.jinja}}'),
        ("records", "{report: {format: text, text: ../report.jinja}}"),
        ("records", "{report: {format: text, text: /etc/passwd}}"),
        ("records", '{report: {format: text, text: "report.jinja\\n"}}'),
        ("dataset", "{shard_rows: 99999999999999999999}"),
        ("dataset", "{length: {min: 99999999999999999999}}"),
        ("dataset", "{near_duplicates: {similarity: .nan}}"),
        ("dataset", "{decontaminate: {against: [x], ngram: .inf}}"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_name_or_number_of_a_narrative_outside_its_grammar_is_a_finding(field: str, value: str) -> None:
    lines = [line for line in NARRATIVE.replace("FACTS", "").splitlines() if not line.startswith(f"{field}:")]
    kept = [line for line in lines if field != "records" or "report:" not in line]
    document = parse_document("\n".join([*kept, f"{field}: {value}", ""]), "narrative.yaml")
    with pytest.raises(DefinitionErrors):
        document.parse(NarrativeFile)


BIG = "{{ " + " ~ ".join(["n"] * 9_000) + " }}"
SLOW_TO_CHECK: dict[str, tuple[str, dict[str, str]]] = {
    "a large partial many times": ('{% include "p" %}' * 3_000, {"p": BIG}),
    "partials that double": (
        '{% include "p0" %}' * 6,
        {**{f"p{n}": f'{{% include "p{n + 1}" %}}' * 6 for n in range(6)}, "p6": BIG},
    ),
    "very many names": ("".join(f"{{% set v{n} = n %}}" for n in range(6_000)), {}),
    "names and branches": (
        "".join(f"{{% set v{n} = n %}}" for n in range(4_000)) + "{% if b %}x{% endif %}" * 75,
        {},
    ),
}


@pytest.mark.parametrize("kind", SLOW_TO_CHECK)
def test_what_takes_very_long_to_check_is_a_finding(kind: str) -> None:
    text, partials = SLOW_TO_CHECK[kind]
    parsed = {name: parse_template(partial, name, f"d/{name}") for name, partial in partials.items()}
    template = parse_template(text, "t", "d/t")
    with pytest.raises(DefinitionErrors, match="too-large"):
        check_template(template, SCOPE, parsed.get)


def test_very_many_records_are_a_finding() -> None:
    records = "".join(f"  r{n}: {{format: text, text: report.jinja}}\n" for n in range(201))
    text = NARRATIVE.replace("FACTS", "").replace("  report: {format: text, text: report.jinja}\n", records)
    with pytest.raises(DefinitionErrors, match="at most 200 items"):
        parse_document(text, "narrative.yaml").parse(NarrativeFile)


def test_the_bounds_are_those_that_people_are_told() -> None:
    assert (MAX_STEPS, MAX_CHARACTERS) == (2_000_000, 8 * 2**20)
