"""The key of the pseudonyms is in nothing that a person or a file gets to see, and a bad one is refused without it."""

import base64
import os
from datetime import datetime
from pathlib import Path

import pytest

from storymesh.dataset.build import Build
from storymesh.dataset.cases import linked_cases
from storymesh.dataset.preview import preview_records
from storymesh.dataset.pseudonym_key import FILE, VARIABLE, pseudonym_key
from storymesh.dataset.stages import write_cases, write_records
from storymesh.engine import dialect
from storymesh.errors import EngineFailed, StorymeshError
from storymesh.provenance.explain import cases_sql, explain_case, explain_narrative
from storymesh.release.write import write_release
from tests.support.small_build import build_of
from tests.support.small_mesh import Product


@pytest.fixture(autouse=True)
def no_key_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test says where its key is."""
    monkeypatch.delenv("STORYMESH_PSEUDONYM_KEY", raising=False)


KEY = "k3y-0f-the-p5eud0nym5'; --"
NARRATIVE = """apiVersion: storymesh/v1
kind: Narrative
id: secret
version: 1.0.0
title: Who came
owner: us@example.com
license: cc0-1.0
cast: {a: mesh.visits@1, b: mesh.persons@1}
case:
  anchor: a
  at: a.at
  links: {b: {on: {name: a.name}, expect: optional}}
  facts: {guest: a.name}
records:
  report: {format: text, text: report.jinja}
dataset: {pseudonymise: [a.name, b.name]}
"""
TEMPLATE = "{{ a.name }} came{% if b %}, {{ b.name }} of {{ b.town | pseudonym }}{% endif %}. {{ a.host | pseudonym }}"
VISITS = Product(
    "visits",
    {"id": "string", "name": "string", "host": "string", "at": "timestamp"},
    event="at",
    required=("id", "name", "host", "at"),
    restricted=("name", "host"),
)
PERSONS = Product(
    "persons",
    {"name": "string", "town": "string"},
    key=("name",),
    timeless=True,
    required=("name", "town"),
    restricted=("name", "town"),
)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    monkeypatch.setenv(VARIABLE, KEY)
    rows = {
        "a": [
            {"id": f"v{n}", "name": f"Guest Number{n % 3}", "host": "Some Body", "at": datetime(2024, 1, n)}
            for n in range(1, 9)
        ],
        "b": [{"name": f"Guest Number{n}", "town": "Some Town"} for n in range(3)],
    }
    return build_of(tmp_path, NARRATIVE, TEMPLATE, {"a": VISITS, "b": PERSONS}, rows)


def spellings(key: str) -> list[bytes]:
    raw = key.encode()
    return [raw, raw.hex().encode(), base64.b64encode(raw), base64.urlsafe_b64encode(raw), raw.replace(b"'", b"''")]


def test_nothing_that_a_build_leaves_or_prints_has_the_key(made: Build, tmp_path: Path) -> None:
    write_cases(made)
    write_records(made, "report")
    shown = [cases_sql(made), repr(explain_narrative(made)), repr(explain_case(made, "v1")), repr(made)]
    shown += [repr(preview_records(made, "report", "v1"))]
    with made.open_engine() as engine:
        shown.append(engine.compile_sql(linked_cases(made, engine)))
    release = write_release(made)
    assert release.path.is_dir()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    texts = [*map(str.encode, shown), *(path.read_bytes() for path in files), *(str(path).encode() for path in files)]
    assert not [spelling for text in texts for spelling in spellings(KEY) if spelling in text]
    assert "p-" in shown[-2], "there are pseudonyms, so the key was used"


def test_the_sql_of_cases_names_a_variable_and_says_so(made: Build) -> None:
    sql = cases_sql(made)
    assert sql.startswith("-- for the pseudonyms first: SET VARIABLE pseudonym_key")
    assert "GETVARIABLE('pseudonym_key')" in sql.upper().replace("PSEUDONYM_KEY", "pseudonym_key")


def test_the_plan_of_a_query_does_not_have_the_key(made: Build) -> None:
    from storymesh.language.compile.values import pseudonym

    with made.open_engine() as engine:
        table = engine.read_parquet(made.snapshots["a"].files[0])
        chosen = table.filter(pseudonym(table["name"], KEY.encode()) == "p-0").select("id")
        assert not [text for text in spellings(KEY) if text in repr(engine.profile_plan(chosen)).encode()]


def test_an_error_of_the_engine_does_not_have_the_key(made: Build) -> None:
    import ibis

    from storymesh.language.compile.values import pseudonym

    with made.open_engine() as engine:
        table = engine.read_parquet(made.snapshots["a"].files[0])
        secret = dialect.secret_text(KEY + "|")
        for wrong in (
            pseudonym(table["name"], KEY.encode()).cast("int64"),
            secret.cast("int64"),
            secret.concat(table["name"]).cast("timestamp"),
            ibis.ifelse(secret == "", 1, secret.cast("int64")),
        ):
            with pytest.raises(EngineFailed) as failed:
                engine.fetch_table(table.select(wrong=wrong))
            assert KEY not in str(failed.value)


@pytest.mark.parametrize(
    "key",
    [
        "k",
        "short",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "abababababababab",
        "1111111111",
        "two\nlines of a key",
        "nul\x07 of a key",
    ],
    ids=range(7),
)
def test_a_key_that_is_easily_guessed_is_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv(VARIABLE, key)
    with pytest.raises(StorymeshError, match="easily guessed") as refused:
        pseudonym_key(tmp_path)
    assert len(key) < 5 or key not in str(refused.value)


def own_file(store: Path, content: str | bytes = "0123456789abcdef" * 4) -> Path:
    path = store / FILE
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("content", ["", "\n", "k", "aaaaaaaaaaaaaaa", b"\xff\xfe" * 20, "x" * 100_000], ids=range(6))
def test_a_key_file_without_a_key_is_refused(tmp_path: Path, content: str | bytes) -> None:
    own_file(tmp_path, content)
    with pytest.raises(StorymeshError, match=r"easily guessed|is not UTF-8"):
        pseudonym_key(tmp_path)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o666, 0o777])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    own_file(tmp_path).chmod(mode)
    with pytest.raises(StorymeshError, match="can be read or written by others"):
        pseudonym_key(tmp_path)


@pytest.mark.parametrize("kind", ["a link", "a link to nothing", "a folder", "a named pipe"])
def test_a_key_that_is_no_file_of_its_own_is_refused(tmp_path: Path, kind: str) -> None:
    store = tmp_path / "store"
    store.mkdir()
    match kind:
        case "a link":
            (store / FILE).symlink_to(own_file(tmp_path))
        case "a link to nothing":
            (store / FILE).symlink_to("nothing")
        case "a folder":
            (store / FILE).mkdir()
        case _:
            os.mkfifo(store / FILE)
    with pytest.raises(StorymeshError):
        pseudonym_key(store)


def test_a_key_of_the_mesh_s_own_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    key = pseudonym_key(tmp_path)
    assert len(key) == 64 and pseudonym_key(tmp_path) == key
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
