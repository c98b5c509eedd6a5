"""Credit and money laundering over silos of several countries: one mesh, two datasets, and what left which country.

The bank's rows are Berka's, in a PostgreSQL; payments and alerts are in another database; who owns an account is in a
Delta table in S3; sanctions are a file. What the records say is counted here once more, by SQL on the sources.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from storymesh.errors import DefinitionErrors
from storymesh.federation.keyed_hash import egress_key, hashed_value
from storymesh.mesh.in_place import RolesInPlace
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.mesh.snapshot_pinning import latest_build
from storymesh.release.catalog import Release, list_releases
from tests.meshes.lending import make_sources
from tests.support.paths import TESTS
from tests.support.public_data import public_data
from tests.support.readers import reader
from tests.support.release_meshes import release_all, storymesh
from tests.support.whole_mesh import KEY, Preloaded, copied, every, loaded

PAYMENTS = 3_000
CANARY = "p4ss-of-the-b4nk"
GRANTS = {
    "bank": ("select on loan, account", "select (district_id, name, region) on district"),
    "clearing": ("select on payments, alerts",),
}
IDENTIFIERS = {
    "prague": re.compile(r"\bCZ\d{8}\b|\bL-\d{8}\b"),
    "bratislava": re.compile(r"\bP-\d{9}\b|\bAL-\d{6}\b|\b(?:Dunaj|Tatra) \d{5}\b"),
    "vienna": re.compile(r"\bKU-\d{8}\b"),
}
"""What each country calls its own: nobody else may read it."""


LEARN = """
import runpy, sys
import trl_reader
from datasets import load_dataset

sys.argv, told = sys.argv[1:], []
for release in sys.argv[1:3]:
    rows = load_dataset(release, "advice", split="train")
    told += [text for row in rows.select(range(20)) for text in trl_reader.texts_of(row)]
trl_reader.write_model(told, "model")
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Makes a random model of a few parameters, and runs a recipe that begins with it."""


@dataclass(frozen=True)
class Lending:
    """The mesh after its run, and its PostgreSQL to ask once more."""

    root: Path
    address: dict[str, Any]
    output: str
    opened: dict[str, Any] = field(default_factory=dict)

    def ask(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        import psycopg2

        if database not in self.opened:
            self.opened[database] = psycopg2.connect(**self.address, dbname=database)
            self.opened[database].autocommit = True
        with self.opened[database].cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def lending(
    server: dict[str, str], bucket: dict[str, str], preloaded: Preloaded, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lending]:
    data = public_data() / "berka-notrans"
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password"}
    address = {name: server[variable] for variable, name in names.items()}
    root = copied("tests/meshes/lending", tmp_path_factory.mktemp("lending") / "mesh")
    made = Lending(root, address, "")
    made.ask("postgres", f"create role lender login password '{CANARY}'; alter role lender set log_statement = 'all'")
    for database in GRANTS:
        made.ask("postgres", f"create database {database}")
    make_sources.load_bank({**address, "dbname": "bank"}, data)
    make_sources.load_clearing({**address, "dbname": "clearing"}, data, PAYMENTS)
    for database, allowed in GRANTS.items():
        for what in allowed:
            made.ask(database, f"grant {what} to lender")
    keys = {
        name: bucket[name] for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
    }
    make_sources.write_customers("s3://mesh/registry/customers", data, {**keys, "AWS_ALLOW_HTTP": "true"})
    variables = {"AWS_REGION": bucket["AWS_REGION"], "CUSTOMER_LAKE_ENDPOINT": bucket["AWS_ENDPOINT_URL"]}
    variables |= {f"CUSTOMER_LAKE_{name}": bucket[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")}
    for name in ("LEDGER", "CLEARING_HOUSE"):
        variables |= {f"{name}_HOST": address["host"], f"{name}_PORT": address["port"]}
        variables |= {f"{name}_USER": "lender", f"{name}_PASSWORD": CANARY}
    ran = preloaded.run("run", mesh=root, **variables)
    assert ran.code == 0, ran.output
    yield Lending(root, address, ran.output, made.opened)
    for connection in made.opened.values():
        connection.close()


@pytest.fixture(scope="module")
def grants(lending: Lending, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return loaded(lending.root, "grant-or-refuse", tmp_path_factory.mktemp("grants"))


def with_settings(lending: Lending, old: str, new: str, more: str = "") -> Mesh:
    """The same mesh on the same products, as another `mesh.yaml` has it."""
    settings = lending.root / "mesh.yaml"
    before = settings.read_text()
    assert old in before
    settings.write_text(before.replace(old, new) + more)
    try:
        return load_mesh(lending.root)
    finally:
        settings.write_text(before)


@pytest.fixture(scope="module")
def reported(lending: Lending) -> Release:
    """The alerts as the run told them, at Bratislava."""
    return release_of(lending.root, "alert-or-not")


@pytest.fixture(scope="module")
def reported_at_prague(lending: Lending) -> Release:
    """The same alerts, told where loans are."""
    there = with_settings(lending, ", narratives: [alert-or-not]", "", "releases: releases-prague\n")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STORYMESH_PSEUDONYM_KEY", KEY)
        return release_all(there, "alert-or-not")


def release_of(mesh: Path, narrative: str) -> Release:
    (found,) = list_releases(mesh / "releases", narrative)
    return found


def advice_of(release: Release) -> list[dict[str, Any]]:
    return [row for path in (release.path / "data/advice").iterdir() for row in pq.read_table(path).to_pylist()]


def question(record: dict[str, Any]) -> str:
    return next(turn["content"] for turn in record["messages"] if turn["role"] == "user")


def answer(record: dict[str, Any]) -> str:
    return next(turn["content"] for turn in record["messages"] if turn["role"] == "assistant")


def written(release: Release) -> Iterator[tuple[str, str]]:
    """Yield each file of a release with all that it says."""
    for path in sorted(release.path.rglob("*")):
        if path.suffix == ".parquet":
            yield path.name, str(pq.read_table(path).to_pylist())
        elif path.is_file():
            yield path.name, path.read_text(encoding="utf-8", errors="replace")


def test_one_run_makes_both_datasets_of_all_silos(lending: Lending, grants: dict[str, Any]) -> None:
    rows = {"bank.loans": 682, "bank.accounts": 4_500, "registry.customers": 4_500, "clearing.alerts": 240,
            "watchlist.sanctions": 22}  # fmt: skip
    for product, count in rows.items():
        assert re.search(rf"{product} +{count:,} +0 ", lending.output), lending.output
    assert {split: len(found) for split, found in grants["advice"].items()} == {
        "train": 47,
        "validation": 3,
        "test": 27,
    }
    assert CANARY not in lending.output
    code, out, err = storymesh(lending.root, "releases", "--verify")
    assert code == 0, out + err


def test_a_release_is_made_again_where_it_was_made(lending: Lending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", KEY)
    code, out, err = storymesh(lending.root, "rebuild", "alert-or-not")
    assert code == 0, out + err


def test_a_loan_is_answered_by_the_loans_that_had_ended_on_its_day(lending: Lending, grants: dict[str, Any]) -> None:
    ended = "(granted_on + months * interval '1 month')::date"
    statement = f"""
      with told as (
        select *, {ended} as ended_on from loan join account using (account_id) join district using (district_id)
      )
      select 'L-' || lpad(asked.loan_id::text, 8, '0'),
        count(*) filter (where told.region = asked.region),
        count(*) filter (where told.region = asked.region and told.status = 'A'),
        count(*), count(*) filter (where told.status = 'A')
      from told as asked join told on told.months = asked.months and told.ended_on < asked.granted_on
        and told.status in ('A', 'B')
      group by asked.loan_id
    """
    counted = {row[0]: row[1:] for row in lending.ask("bank", statement)}
    answers = set()
    for case_id, record in every(grants, "advice").items():
        near, near_good, all_, all_good = counted.get(case_id, (0, 0, 0, 0))
        tried, worked = (near, near_good) if near >= 5 else (all_, all_good)
        answers.add(answer(record).partition(" it")[0])
        if tried < 5:
            assert "Too few such loans had ended" in question(record)
            assert answer(record).startswith("That is for a person to decide")
            continue
        assert f"Of {tried} such loans that had ended, {worked} were paid back" in question(record), case_id
        assert answer(record).startswith("Grant it" if worked / tried >= 0.85 else "Refuse it"), case_id
    assert {"Grant", "Refuse"} <= answers


def test_the_question_of_a_loan_tells_what_was_paid_before_it(lending: Lending, grants: dict[str, Any]) -> None:
    loans = lending.ask(
        "bank",
        "select 'L-' || lpad(loan_id::text, 8, '0'), 'CZ' || lpad(account_id::text, 8, '0'), granted_on from loan",
    )
    paid = 0
    for case_id, account, day in loans:
        record = every(grants, "advice").get(case_id)
        if record is None:
            continue
        ((number, received),) = lending.ask("clearing", f"""
          select count(*), coalesce(sum(amount) filter (where direction = 'in'), 0) from payments
          where account = '{account}' and booked_at between date '{day}' - interval '90 days' and date '{day}'
        """)  # fmt: skip
        paid += number > 0
        words = (
            f"From abroad came {received:,.2f} euros in 90 days" if number else "Nothing came from abroad in 90 days"
        )
        assert words in question(record), case_id
    assert paid > 20


def test_an_alert_tells_what_its_payments_were(lending: Lending, reported: Release) -> None:
    statement = """
      select alert, count(*), count(distinct p.counterparty),
        coalesce(sum(amount) filter (where direction = 'in'), 0),
        coalesce(sum(amount) filter (where direction = 'out'), 0),
        count(*) filter (where amount >= 9000 and amount < 10000)
      from alerts join payments p using (account)
      where booked_at between raised_at - interval '14 days' and raised_at group by alert
    """
    counted = {row[0]: row[1:] for row in lending.ask("clearing", statement)}
    listed = {line.split(",")[0]: line.split(",")[1] for line in
              (lending.root / "domains/watchlist/sources/sanctions.csv").read_text().splitlines()[1:]}  # fmt: skip
    parties = dict(lending.ask("clearing", "select alert, counterparty from alerts"))
    rows = advice_of(reported)
    assert len(rows) == 222
    hits = 0
    for row in rows:
        payments, others, received, sent, below = counted[row["case_id"]]
        people = "1 party" if others == 1 else f"{others} parties"
        said = f"{payments} payments with {people}: {received:,.2f} euros received, {sent:,.2f} sent, {below} of them"
        assert said in question(row), row["case_id"]
        since = listed.get(parties[row["case_id"]])
        is_listed = since is not None and since <= str(row["at"])[:10]
        assert ("is on the list of sanctions" in question(row)) is is_listed
        assert answer(row).startswith("Report it: the other party is on the list") is is_listed
        hits += is_listed
    assert 0 < hits < len(listed)


def test_what_is_planted_is_told_apart_by_what_came_of_it(reported: Release) -> None:
    """Of every look there are closed alerts by 2017; from then on the better supported answer is what was planted."""
    rows = [row for row in advice_of(reported) if row["at"].year >= 2017 and "that was right" in answer(row)]
    for row in rows:
        number = int(row["case_id"].removeprefix("AL-"))
        planted = (number // 4) % 2 == 0
        assert answer(row).startswith("Report it" if planted else "Dismiss it"), row["case_id"]
    assert len(rows) > 50


def test_each_release_says_what_left_which_country_and_in_which_form(lending: Lending, reported: Release) -> None:
    left = {
        narrative: {
            role: (receipt.leaving.from_premise, receipt.leaving.to_premise, receipt.leaving.purpose,
                   {name for name, form in receipt.leaving.columns.items() if form == "hashed"})
            for role, receipt in release.manifest.egress.items()
        }
        for narrative, release in (
            ("grants", release_of(lending.root, "grant-or-refuse")), ("alerts", reported),
        )
    }  # fmt: skip
    asked = release_of(lending.root, "grant-or-refuse").manifest.egress["payment"].leaving
    assert {*asked.columns} == {"payment", "account", "booked_at", "direction", "amount"}, "nobody's other party"
    assert left["grants"] == {
        "customer": ("vienna", "prague", "credit", {"customer", "account"}),
        "payment": ("bratislava", "prague", "credit", {"payment", "account"}),
    }
    assert left["alerts"] == {
        "account": ("prague", "bratislava", "aml", {"account"}),
        "loan": ("prague", "bratislava", "aml", {"loan", "account"}),
        "customer": ("vienna", "bratislava", "aml", {"customer", "account"}),
        "sanction": ("public", "bratislava", "aml", set()),
    }


def test_payments_are_found_by_hashes_of_accounts(lending: Lending) -> None:
    """Bratislava may know an account of Prague by its hash alone: it makes the hashes of its own, and compares."""
    (sent,) = release_of(lending.root, "grant-or-refuse").manifest.keys_sent["payment"]
    assert (sent.leaving.from_premise, sent.leaving.to_premise, sent.leaving.role) == ("prague", "bratislava", "loan")
    assert dict(sent.leaving.columns) == {"account": "hashed"} and sent.leaving.rows == 682
    mesh = load_mesh(lending.root)
    plan = RolesInPlace(mesh, mesh.typed(mesh.narrative("grant-or-refuse"))).read_plans()["payment"]
    assert plan.chosen == "keys and time" and plan.keys == 682 and plan.notes == ()
    rows, size, _ = plan.ways["all rows"]
    assert plan.rows is not None and plan.rows < rows / 2 and sum(plan.ways["keys and time"][1:]) < size
    ((folder,),) = lending.ask("postgres", "show data_directory")
    log = Path(folder).with_name("log").read_text(encoding="utf-8", errors="replace")
    asked = re.findall(r"LOG:  statement: (copy .*payments.*)", log, re.IGNORECASE)
    hashed = [statement for statement in asked if "sha256" in statement]
    assert hashed and not any(IDENTIFIERS["prague"].search(statement) for statement in hashed)


def test_no_identifier_is_read_in_another_country(
    lending: Lending, reported: Release, reported_at_prague: Release
) -> None:
    releases = [("prague", release_of(lending.root, "grant-or-refuse")), ("prague", reported_at_prague)]
    for premise, release in [*releases, ("bratislava", reported)]:
        said = list(written(release))
        for owner, pattern in IDENTIFIERS.items():
            found = [(name, match.group()) for name, text in said if (match := pattern.search(text))]
            if owner != premise:
                assert not found, (premise, release.path.name, found[:3])
    own = "".join(text for _, text in written(reported))
    assert IDENTIFIERS["bratislava"].search(own), "the pattern would find what is there"
    assert IDENTIFIERS["prague"].search("".join(text for _, text in written(releases[0][1])))


def test_an_alert_is_answered_alike_in_both_countries(reported: Release, reported_at_prague: Release) -> None:
    key = egress_key(KEY.encode())
    there, here = (
        {row["case_id"]: answer(row) for row in advice_of(release)} for release in (reported, reported_at_prague)
    )
    assert {hashed_value(case_id, key): words for case_id, words in there.items()} == here


def test_two_models_learn_each_its_own_dataset(lending: Lending, reported: Release, tmp_path: Path) -> None:
    releases = [str(release_of(lending.root, "grant-or-refuse").path), str(reported.path)]
    (tmp_path / "learn.py").write_text(LEARN)
    recipe = str(TESTS.parent / "examples/train/side_by_side.py")
    more = ["--model", "model", "--into", "out", "--config", "advice", "--steps", "80", "--learning-rate", "0.01"]
    done = subprocess.run(
        [reader("python"), "learn.py", recipe, *releases, *more],
        capture_output=True, text=True, timeout=600, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TESTS / "support"), "HF_HUB_OFFLINE": "1",
             "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3_000:]
    lines = [line for line in done.stdout.splitlines() if ", trained on " in line]
    losses = [[float(word) for word in line.rpartition(": ")[2].split()] for line in lines]
    for own in range(2):
        assert losses[own][own] < losses[own][1 - own] / 1.5, losses


def test_no_page_that_people_of_prague_look_at_shows_what_is_told_at_bratislava(
    lending: Lending, tmp_path: Path
) -> None:
    code, out, err = storymesh(lending.root, "docs", "--out", str(tmp_path / "site"))
    assert code == 0, out + err
    looked_at = [*(tmp_path / "site").rglob("*"), *(lending.root / ".storymesh/dagster").rglob("*")]
    said = [(path.name, path.read_bytes().decode("utf-8", "replace")) for path in looked_at if path.is_file()]
    for name, text in said:
        assert not IDENTIFIERS["bratislava"].search(text), name
    assert any(IDENTIFIERS["prague"].search(text) for _, text in said), "the pattern would find what is there"


def test_loans_are_not_told_where_the_bank_lets_nobody_tell_them(lending: Lending) -> None:
    at_bratislava = with_settings(lending, "[alert-or-not]", "[alert-or-not, grant-or-refuse]")
    with pytest.raises(
        DefinitionErrors, match=r"error\[leaves\]: 'loan\.ended_on'.*no rule of 'bank\.loans' lets it leave"
    ):
        latest_build(at_bratislava, at_bratislava.narrative("grant-or-refuse"))
