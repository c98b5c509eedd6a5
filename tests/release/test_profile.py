"""Where the time of a release goes, in worlds where the answer is known: quadratic loops, wide roles, big includes."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from storymesh.cli.commands.explain import explain
from storymesh.cli.output.json_document import json_value
from storymesh.cli.output.profile import show_profile
from storymesh.dataset.build import Build
from storymesh.dataset.erasure_list import new_erasure_list, write_erasure_list
from storymesh.dataset.sample import sample_build
from storymesh.dataset.stages import write_cases
from storymesh.dataset.template_profile import ConfigCost, profile_templates
from storymesh.engine.open import open_engine
from storymesh.errors import NotPublished, WrongUsage
from storymesh.release.profile import ReleaseProfile, profile_release
from storymesh.release.profile_hints import RoleCost, find_hints
from tests.support.small_build import build_of
from tests.support.small_mesh import Product

NARRATIVE = """\
apiVersion: storymesh/v1
kind: Narrative
id: jobs
version: 1.0.0
title: Jobs
owner: lab
license: cc-by-4.0
cast: {job: mesh.jobs@1, event: mesh.events@1, stop: mesh.stops@1}
case:
  anchor: job
  at: job.began
  links:
    event: {on: {job: job.id}, expect: any}
    stop:  {on: {job: job.id}, expect: any}
records:
  loud: {format: text, text: loud.jinja}
  calm: {format: text, text: report.jinja}
dataset: {split: {validation: 2024-03-11, test: 2024-06-01}}
"""
JOBS = Product("jobs", {"id": "string", "began": "timestamp"}, event="began", required=("began",))
EVENTS = Product(
    "events", {"id": "string", "job": "string", "day": "date", "note": "string"}, event="day", required=("note",)
)
STOPS = Product(
    "stops", {"id": "string", "job": "string", "day": "date", "place": "string"}, event="day", required=("place",)
)
LOUD = """\
{{ case.id }}
{% for a in event %}
{{ a.note }}
{% for b in event if b.note != a.note %}
{{ b.note }}
{% endfor %}
{{ event | selectattr("note", "==", a.note) | length | number }}
{% else %}
{% for s in stop %}{{ s.place }}{{ loop.index }}{% endfor %}
{% endfor %}
{% if stop %}
{% include "page.jinja" %}
{% endif %}
"""
PAGE = f"{'so it went on, ' * 2_000}\n{{% for s in stop %}}{{% include 'stop.jinja' %}}{{% endfor %}}\n"
CALM = "{{ case.id }}{% for s in stop %} {{ s.place }}{% endfor %}\n"
AT = datetime(2024, 1, 1)
MOST = 60  # events of the last job
JOB_COUNT = 7
CARRIED = "a case carries those that some template or fact reads, and no other"


def rows() -> dict[str, list[dict[str, Any]]]:
    """Return jobs of which the n-th has 10 n events and n % 3 stops."""
    jobs = [{"id": f"j{n}", "began": AT + timedelta(hours=n)} for n in range(JOB_COUNT)]
    day = AT.date() - timedelta(days=1)
    events = [
        {"id": f"j{n}-{k}", "job": f"j{n}", "day": day, "note": f"note {k}"}
        for n in range(JOB_COUNT)
        for k in range(10 * n)
    ]
    stops = [
        {"id": f"j{n}-{k}", "job": f"j{n}", "day": day, "place": f"place {k}"}
        for n in range(JOB_COUNT)
        for k in range(n % 3)
    ]
    return {"job": jobs, "event": events, "stop": stops}


def build_in(root: Path, loud: str = LOUD, narrative: str = NARRATIVE) -> Build:
    folder = root / "narratives" / "jobs"
    folder.mkdir(parents=True)
    for name, text in {"loud.jinja": loud, "page.jinja": PAGE, "stop.jinja": "{{ s.place }} "}.items():
        (folder / name).write_text(text, encoding="utf-8")
    products = {"job": JOBS, "event": EVENTS, "stop": STOPS}
    build = build_of(root, narrative, CALM, products, rows())
    build.store.mkdir()
    return build


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return build_in(tmp_path_factory.mktemp("profiled"))


@pytest.fixture(scope="module")
def profile(build: Build) -> ReleaseProfile:
    return profile_release(build, None)


def lines_of(cost: ConfigCost) -> dict[tuple[str, int, str], list[tuple[int, int, int]]]:
    """Return (file, line, kind) -> least, most and total rows of each place that it stands at."""
    found: dict[tuple[str, int, str], list[tuple[int, int, int]]] = {}
    for line in cost.lines:
        place = (Path(line.location.path).name, line.location.line, line.kind)
        found.setdefault(place, []).append((line.least, line.most, line.total))
    return found


def test_rows_of_every_line_are_counted_exactly(profile: ReleaseProfile) -> None:
    sizes, stops = [10 * n for n in range(JOB_COUNT)], [n % 3 for n in range(JOB_COUNT)]
    (loud,) = (cost for cost in profile.templates if cost.config == "loud")
    assert loud.records == JOB_COUNT
    assert lines_of(loud) == {
        ("loud.jinja", 2, "loop"): [(0, MOST, sum(sizes))],
        ("loud.jinja", 4, "filter"): [(0, MOST * MOST, sum(size * size for size in sizes))],  # its `if`
        ("loud.jinja", 4, "loop"): [(0, MOST * (MOST - 1), sum(size * max(size - 1, 0) for size in sizes))],
        ("loud.jinja", 7, "filter"): [(0, MOST * MOST, sum(size * size for size in sizes))],
        ("loud.jinja", 9, "loop"): [(0, 0, 0)],  # the one job without events has no stops either
        ("loud.jinja", 12, "include"): [(0, 1, sum(stop > 0 for stop in stops))],
        ("page.jinja", 2, "loop"): [(0, 2, sum(stops))],
        ("page.jinja", 2, "include"): [(0, 2, sum(stops))],
    }


def test_what_costs_much_is_named_with_its_line_and_what_to_do(profile: ReleaseProfile) -> None:
    hints = {hint.words: hint.advice for hint in profile.hints if hint.config == "loud"}
    assert list(hints) == [
        "the filter of `event` in loud.jinja:7 makes 60 x 60 rows",
        "the loop over `event` in loud.jinja:4 makes 60 x 59 rows",
        "the include of page.jinja in loud.jinja:12 prints 17,150 characters",
    ]
    advice = hints["the loop over `event` in loud.jinja:4 makes 60 x 59 rows"]
    assert "the loop around it (loud.jinja:2) goes over the same list" in advice
    assert all("it asks for what belongs to each `a`" in hints[words] for words in list(hints)[:2])


def test_what_is_the_same_in_every_round_can_be_set_before(tmp_path: Path) -> None:
    nested = (
        "{{ case.id }}{% for a in event %}{{ event | selectattr('note', 'eq', 'x') | length }}"
        "{% set n = a.note %}{{ event | selectattr('note', 'eq', n) | length }}"
        "{{ event | rejectattr('note', 'eq', n) | length }}{% endfor %}"
    )
    build = build_in(tmp_path, nested)
    (loud, *_) = profile_release(build, None).templates
    assert [(line.kind, line.differs_by_round) for line in loud.lines] == [
        ("loop", False),
        ("filter", False),
        ("filter", True),
        ("filter", True),  # of the same list in the same line: one hint
    ]
    same, other = (hint.advice for hint in find_hints([], [loud]))
    assert "`set` before that loop" in same
    assert "`set` before that loop" not in other


def test_a_calm_config_gets_one_line_and_no_hint(profile: ReleaseProfile, capsys: pytest.CaptureFixture[str]) -> None:
    show_profile(profile)
    printed = capsys.readouterr().out
    calm = printed[printed.index("calm: 7 records") :].splitlines()[1]
    assert calm == "  its one loop makes 0.9 rows a record, 2 at most in one: nothing to change"
    assert not [hint for hint in profile.hints if hint.config == "calm"]
    assert max(map(len, printed.splitlines())) <= 100
    assert "loud.jinja:4     loop over `event`" in printed


def test_every_step_has_its_time_and_rows(profile: ReleaseProfile) -> None:
    steps = {(step.step, step.config): step for step in profile.steps}
    assert [name for name, config in steps if not config] == ["cases", "certificate", "digest", "card", "report page"]
    for config in ("loud", "calm"):
        told = steps["telling", config]
        assert (told.rows_in, told.rows_out) == (JOB_COUNT, JOB_COUNT)
        assert {step for step, of in steps if of == config} == {"telling", "duplicates", "drops", "files and digest"}
    assert all(step.cpu_seconds >= 0 for step in profile.steps)
    assert profile.cpu_seconds == pytest.approx(sum(step.cpu_seconds for step in profile.steps))


def test_roles_have_the_rows_of_their_cases(profile: ReleaseProfile) -> None:
    event, stop = profile.roles
    assert (event.role, event.rows_in, event.rows_out, event.most) == ("event", 210, 210, MOST)
    assert event.mean == pytest.approx(30)
    assert (stop.rows_out, stop.most) == (6, 2)
    assert event.share > stop.share


def test_a_role_with_many_rows_a_case_is_named() -> None:
    long = RoleCost("log", "mesh.logs", True, 1.0, 9_000, 9_000, 171.0, 300, 4, 9_000.0, 0.7)
    wide = RoleCost("ship", "mesh.ships", False, 1.0, 9, 9, 1.0, 1, 38, 4_000.0, 0.6)
    plain = RoleCost("port", "mesh.ports", True, 1.0, 9, 9, 3.0, 9, 3, 100.0, 0.1)
    hints = [(hint.words, hint.advice) for hint in find_hints([long, wide, plain], [])]
    assert hints == [
        (
            "the role `log` brings 171 rows to a case (300 at most), 70% of its bytes",
            "narrow its link (`within`, less `slack`, `as_of`), or let templates read fewer of its 4 properties",
        ),
        (
            "the role `ship` brings a row to a case (1 at most), 60% of its bytes",
            f"let templates read fewer of its 38 properties: {CARRIED}",
        ),
    ]


def test_nothing_of_it_is_kept(build: Build, profile: ReleaseProfile) -> None:
    assert {path.name for path in build.store.rglob("*")} <= {"pseudonym.key"}  # the mesh's own
    assert not build.releases.exists()
    assert profile.refused is None


def test_its_document_has_lines_that_programs_find(profile: ReleaseProfile) -> None:
    document = json.loads(json.dumps(json_value(profile)))
    loud, _ = document["templates"]
    inner = loud["lines"][2]
    assert inner["location"] == {"path": "narratives/jobs/loud.jinja", "line": 4, "column": 8}
    assert inner["around"] == [
        {"location": {"path": "narratives/jobs/loud.jinja", "line": 2, "column": 8}, "over": "event", "item": "a"}
    ]


def test_a_sample_has_fewer_cases_the_same_each_time(build: Build, tmp_path: Path) -> None:
    drawn = []
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
        sample = sample_build(build, 3, tmp_path / name)
        drawn.append(pq.read_table(sample.snapshots["job"].files[0])["id"].to_pylist())
        assert sample.snapshots["job"].rows == len(drawn[-1])
        assert sample.snapshots["event"] == build.snapshots["event"]
    assert drawn[0] == drawn[1]
    assert 0 < len(drawn[0]) < JOB_COUNT


def test_what_was_erased_is_in_no_sample(build: Build, tmp_path: Path) -> None:
    write_erasure_list(tmp_path, new_erasure_list().with_keys("mesh.jobs", ["j1"]))
    (tmp_path / "sample").mkdir()
    sample = sample_build(replace(build, store=tmp_path), None, tmp_path / "sample")
    assert write_cases(sample).drops == {"forgotten": 1}


def test_a_release_that_would_be_refused_is_measured_as_far_as_it_came(tmp_path: Path) -> None:
    build = build_in(tmp_path, "{{ case.id }}\n")
    everything = new_erasure_list()
    for n in range(JOB_COUNT):
        everything = everything.with_keys("mesh.jobs", [f"j{n}"])
    write_erasure_list(build.store, everything)
    profile = profile_release(build, None)
    assert profile.refused == "no record of 'jobs' is left to release"
    assert [cost.records for cost in profile.templates] == [0, 0]
    assert not profile.hints
    show_profile(profile)


def test_a_retold_config_is_measured_as_its_templates_tell_it(tmp_path: Path) -> None:
    model = "{model: 'openai:gpt-4o-mini', prompt: report.jinja, otherwise: keep}"
    narrative = NARRATIVE.replace("dataset:", f"  retold: {{from: calm, narrator: {model}}}\ndataset:")
    profile = profile_release(build_in(tmp_path, "{{ case.id }}\n", narrative), None)
    assert profile.rewritten == ("retold",)
    assert profile.refused is None
    assert [cost.config for cost in profile.templates] == ["loud", "calm", "retold"]
    assert not [step for step in profile.steps if step.step == "telling" and step.rows_out != JOB_COUNT]


def test_a_product_without_rows_is_answered(tmp_path: Path) -> None:
    build = build_in(tmp_path, "{{ case.id }}\n")
    empty = replace(build, snapshots={**build.snapshots, "job": replace(build.snapshots["job"], rows=0)})
    with pytest.raises(NotPublished, match="has no rows"):
        profile_release(empty, None)


def test_loops_behind_conditions_sets_and_loop_variables_are_counted(tmp_path: Path) -> None:
    template = """\
{% set some = stop | selectattr("place", "==", "place 0") %}
{% for s in some %}{{ loop.index }}{{ s.place }}{% endfor %}
{% if event | length > 25 %}
{% for a in event %}{% if loop.index <= 2 %}{% for s in stop if s.place > "place 0" %}
{{ s.place }}{% endfor %}{% endif %}{% endfor %}
{% elif event %}
{% for a in event %}{{ a.note }}{% endfor %}
{% else %}
{% for s in [1, 2, 3] %}{{ s }}{% endfor %}
{% endif %}
"""
    build = build_in(tmp_path, template)
    write_cases(build)
    with open_engine() as engine:
        cost = profile_templates(build, engine, "loud")
    assert lines_of(cost) == {
        ("loud.jinja", 2, "loop"): [(0, 1, 4)],  # the jobs 1, 2, 4 and 5
        ("loud.jinja", 4, "loop"): [(0, 60, 30 + 40 + 50 + 60), (0, 2, 2 * 0 + 2 * 0 + 2 * 1 + 2 * 0)],
        ("loud.jinja", 4, "filter"): [(0, 4, 2 * 0 + 2 * 1 + 2 * 2 + 2 * 0)],  # the `if` of the inner loop
        ("loud.jinja", 7, "loop"): [(0, 20, 30)],
        ("loud.jinja", 9, "loop"): [(0, 3, 3)],
    }
    # None makes many rows, and which takes how much of the time is said all the same.
    assert not [line for line in cost.lines if line.is_costly]
    assert cost.is_compared and all(line.seconds is not None for line in cost.lines if not line.around)


def test_what_does_not_go_with_it_is_wrong_usage() -> None:
    with pytest.raises(WrongUsage, match="--cases says how many cases --profile measures"):
        explain("jobs", cases=3)
    for other in ({"case": "j1"}, {"drops": True}, {"sql": True}):
        with pytest.raises(WrongUsage, match="--profile measures a whole release"):
            explain("jobs", profile=True, **other)
