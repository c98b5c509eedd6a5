"""Variants of a template: each case draws one, the same everywhere, and little moves when one is edited or added."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from storymesh.dataset.build import Build
from storymesh.dataset.preview import preview_records
from storymesh.dataset.scenario_run import run_scenario
from storymesh.dataset.stages import write_cases_and_precedents, write_records
from storymesh.engine.open import open_engine
from storymesh.errors import DefinitionErrors
from storymesh.language.variants import draw_table
from storymesh.mesh.misplaced import misplaced_files
from storymesh.narrative.scenario import read_scenarios
from storymesh.narrative.typed_variant import tell_by_variant
from storymesh.provenance.trace import Tracer
from storymesh.release.definition_snapshot import write_definition_snapshot
from tests.support.small_build import build_of
from tests.support.small_mesh import Product

NARRATIVE = """\
apiVersion: storymesh/v1
kind: Narrative
id: calls
version: 1.0.0
title: Calls
owner: lab
license: cc-by-4.0
cast: {call: mesh.calls@1}
case: {anchor: call, at: call.at}
records:
  report: {format: text, text: report.jinja, variants: true}
"""
TALK = """\
case: {anchor: call, at: call.at, closes: call.at, outcome: {action: call.act, score: call.gain, worked: call.gain > 0}}
records:
  talk: {format: prompt_completion, prompt: report.jinja, completion: report.jinja, variants: true}
"""
TALK = NARRATIVE.partition("case:")[0] + TALK
CALLS = Product(
    "calls",
    {"call": "string", "sea": "string", "at": "timestamp", "act": "string", "gain": "integer"},
    ("call",),
    "at",
    required=("at", "call", "sea", "gain"),
)
FIRST = datetime(2024, 3, 1)
ROWS = [
    {"call": f"c{number}", "sea": "ns"[number % 2], "at": FIRST + timedelta(hours=number), "act": "tow", "gain": number}
    for number in range(60)
]
REPORT = "Call {{ call.call }} by {{ call.sea }}{{ choose('.', '!') }}\n"
VARIANTS = {
    "report/01.md.jinja": "By {{ call.sea }} went {{ call.call }}.",
    "report/02.md.jinja": "{% if call.sea == 'n' %}{{ call.call }}: {{ call.sea }}{% else %}{{ choose('a', 'b') }} "
    "{{ call.sea }}/{{ call.call }}{% endif %}",
    "report/03.md.jinja": "{% include 'report.jinja' %} So it was.",
}


def build(root: Path, variants: Mapping[str, str], narrative: str = NARRATIVE) -> Build:
    for name, text in variants.items():
        path = root / "narratives/calls/variants" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return build_of(root, narrative, REPORT, {"call": CALLS}, {"call": ROWS})


def texts(built: Build, config: str = "report") -> dict[str, dict[str, str]]:
    """case -> text columns of its record, as the engine writes them."""
    write_cases_and_precedents(built)
    write_records(built, config)
    rows = pq.read_table(built.files.rendered(config)).to_pylist()
    return {row["case_id"]: {name: row[name] for name in built.typed.records[config].format.columns} for row in rows}


def test_a_new_template_takes_its_share_of_all_and_moves_nothing_else() -> None:
    def drawn(names: tuple[str, ...]) -> list[str]:
        table = draw_table(names)
        return [names[int(table[place : place + 2], 16)] for place in range(0, len(table), 2)]

    twelve = tuple(f"variants/report/{number:02d}.md.jinja" for number in range(12))
    before, after = drawn(twelve), drawn((*twelve, "new"))
    assert {new for old, new in zip(before, after, strict=True) if old != new} == {"new"}
    assert drawn(twelve[::-1]) == before  # whatever their order
    shares = Counter(after).values()
    assert len(shares) == 13
    assert max(shares) < 1.3 * len(after) / 13 < 1.7 * min(shares)


def test_engine_interpreter_and_trace_draw_the_same(tmp_path: Path) -> None:
    built = build(tmp_path, VARIANTS)
    engine = texts(built)
    shown = {row["case_id"]: {"text": row["text"]} for row in preview_records(built, "report", sample=60)}
    assert engine == shown
    drawn = Counter(text["text"].split()[0] + text["text"][-1] for text in engine.values())
    assert len(drawn) > 4, drawn
    with Tracer(built) as tracer:
        traces = list(tracer.trace_records("report", [{"case_id": case, **text} for case, text in engine.items()]))
    assert not [mistake for trace in traces for mistake in trace.mistakes]
    files = {Path(span.at.path).name for trace in traces for span in trace.columns[0].spans}
    assert files == {"report.jinja", *(name.partition("/")[2] for name in VARIANTS)}


def test_an_edited_variant_changes_the_records_that_drew_it(tmp_path: Path) -> None:
    before = texts(build(tmp_path / "a", VARIANTS))
    after = texts(build(tmp_path / "b", {**VARIANTS, "report/01.md.jinja": "Sailed: {{ call.call }}, {{ call.sea }}."}))
    changed = {case for case in before if before[case] != after[case]}
    assert changed == {case for case in before if before[case]["text"].startswith("By ")}
    assert 0 < len(changed) < len(before) / 2
    more = texts(build(tmp_path / "c", {**VARIANTS, "report/04.md.jinja": "New {{ call.call }} {{ call.sea }}"}))
    moved = {case for case in before if before[case] != more[case]}
    assert moved == {case for case in more if more[case]["text"].startswith("New ")}


def test_templates_of_one_record_are_drawn_apart_from_folders_of_their_own(tmp_path: Path) -> None:
    files = {
        "talk/prompt/01.jinja": "Which call? {{ call.call }}",
        "talk/completion/01.jinja": "It was {{ call.call }} by {{ call.sea }}",
    }
    told = texts(build(tmp_path, files, TALK), "talk")
    drawn = Counter(
        (text["prompt"].startswith("Which"), text["completion"].startswith("It was")) for text in told.values()
    )
    assert len(drawn) == 4


def test_variants_shape_the_release_only_where_they_are_drawn_from(tmp_path: Path) -> None:
    plain = NARRATIVE.replace(", variants: true", "")
    without, beside = build(tmp_path / "a", {}, plain), build(tmp_path / "b", VARIANTS, plain)
    drawing = build(tmp_path / "c", VARIANTS)
    assert without.typed.fingerprint == beside.typed.fingerprint
    assert beside.typed.narrative.drawn_wordings == ()
    assert drawing.typed.narrative.drawn_wordings == (("report", "report.jinja", 4),)
    assert drawing.typed.fingerprint != build(tmp_path / "d", {**VARIANTS, "report/01.md.jinja": "?"}).typed.fingerprint
    write_definition_snapshot(drawing.typed.narrative, {}, tmp_path / "release")
    kept = tmp_path / "release/definition/narratives/calls/variants/report/01.md.jinja"
    assert kept.read_text(encoding="utf-8") == VARIANTS["report/01.md.jinja"]
    assert not list(misplaced_files(tmp_path / "c"))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("report/07.jinja", "{{ call.see }}", "variants/report/07.jinja:1:9: error[unknown-name]"),
        ("report/07.jinja", "{% if %}", "variants/report/07.jinja:1:7: error[syntax]"),
        ("report/07.jinja", "{% include 'variants/report/01.md.jinja' %}", "there is no template"),
    ],
)
def test_a_variant_is_checked_like_any_template(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(DefinitionErrors) as refused:
        build(tmp_path, {**VARIANTS, name: text})
    assert any(words in str(finding) for finding in refused.value.findings)


def test_a_variant_can_be_named(tmp_path: Path) -> None:
    built = build(tmp_path, VARIANTS)
    write_cases_and_precedents(built)
    named = replace(built, typed=tell_by_variant(built.typed, "01"))
    assert {row["text"].split()[0] for row in preview_records(named, "report", sample=60)} == {"By"}
    named = replace(built, typed=tell_by_variant(built.typed, "original"))
    assert {row["text"].split()[0] for row in preview_records(named, "report", sample=60)} == {"Call"}
    scenario = tmp_path / "narratives/calls/scenarios/named.yaml"
    scenario.parent.mkdir()
    given = "given: {call: [{call: c1, sea: n, at: 2024-03-01T00:00:00, gain: 1}]}\ncase: c1\nvariant: '02'\n"
    scenario.write_text(given, encoding="utf-8")
    (read,) = read_scenarios(scenario.parents[1], tmp_path, built.typed)
    assert run_scenario(read, built.typed, open_engine).actual == {"report": {"text": "c1: n"}}
    scenario.write_text(given.replace("02", "20"), encoding="utf-8")
    with pytest.raises(DefinitionErrors, match="draws from no variant '20'"):
        read_scenarios(scenario.parents[1], tmp_path, built.typed)


def test_what_nobody_draws_from_is_a_warning(tmp_path: Path) -> None:
    warnings = [str(finding) for finding in build(tmp_path, {"reprot/01.jinja": "x"}).typed.warnings]
    assert any("no record draws from 'variants/reprot' (did you mean 'variants/report'?)" in text for text in warnings)
    assert any("'report' has `variants: true`, and there are none" in text for text in warnings)
    unused = build(tmp_path / "b", {"talk/prompt/01.jinja": "x"}, TALK.replace(", variants: true", "")).typed.warnings
    assert any("write `variants: true` at the record 'talk'" in str(finding) for finding in unused)
