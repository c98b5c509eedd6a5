"""Values that a model takes from files: what is published is what the files say, whatever was answered."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest

from storymesh.product.publication import Publication
from storymesh.product.store import ProductStore
from storymesh.product.warehouse import Warehouse
from tests.files.conftest import FilesDesk
from tests.support.model_server import Call, Outcome, Raw, Server

CONTRACT = """\
apiVersion: v3.2.0
kind: DataContract
id: carrier.mails
version: 1.0.0
status: active
schema:
  - name: mails
    customProperties:
      - {property: eventTime, value: written_at}
      - {property: quarantineLimit, value: 1.0}
    properties:
      - {name: shipment_id, logicalType: string, primaryKey: true, logicalTypeOptions: {pattern: "^SHP-[0-9]{6}$"}}
      - {name: file, logicalType: string, required: true}
      - {name: written_at, logicalType: timestamp}
      - {name: delay_hours, logicalType: integer, required: true, customProperties: [{property: unit, value: hours}]}
      - name: cause
        logicalType: string
        enum: [{value: weather, label: bad weather}, {value: strike, label: strike}, {value: other, label: other}]
      - {name: evidence, logicalType: array, customProperties: [{property: evidence, value: true}]}
"""
FILES = """\
apiVersion: storymesh/v1
kind: Files
from: {files: "sources/mail/**", read: mail}
take:
  file: file.uri
  written_at: mail.date
extract:
  model: "openai:small"
  base_url: URL
  prompt: mails.md.jinja
  rows: many
  attempts: 1
  evidence: {cause: judged}
"""
PROMPT = """\
Which shipments are late, says this mail of {{ mail.sender | default("nobody") }}?
{% for cause in labels.cause %}
- {{ cause.code }}: {{ cause.label }}
{% endfor %}
{{ text }}
"""
PROMPT_PATH = "domains/carrier/sources/mails.md.jinja"
NOTICE = "SHP-004579 is 53 hours late because of a strike."


def row(
    shipment: str = "SHP-004579", delay: Any = 53, quote: Any = "53 hours late", cause: Any = "strike"
) -> dict[str, Any]:
    return {
        "shipment_id": {"value": shipment, "quote": shipment},
        "delay_hours": {"value": delay, "quote": quote},
        "cause": {"value": cause, "quote": None},
    }


def told(*rows: dict[str, Any]) -> Raw:
    return Raw(json.dumps({"rows": rows}))


Answering = Callable[[Call], Outcome]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYMESH_NARRATOR_KEY", "none-needed")


class ModelDesk:
    """A desk of mails whose values a scripted model takes; `answer` is what it says next."""

    def __init__(self, desk: FilesDesk, server: "Scripted") -> None:
        self.desk, self.server = desk, server
        desk.contract = CONTRACT
        desk.files = FILES.replace("URL", server.url)
        desk.more[PROMPT_PATH] = PROMPT

    def publish(self, *rows: dict[str, Any]) -> Publication:
        if rows:
            self.server.script = lambda _: told(*rows)
        return self.desk.publish()

    def rows(self) -> list[dict[str, Any]]:
        snapshot = ProductStore(Warehouse(self.desk.store), "carrier").latest_snapshot("mails")
        assert snapshot is not None
        found = [row for path in snapshot.files for row in pq.read_table(path).to_pylist()]
        return sorted(found, key=lambda row: str(row["shipment_id"]))

    @property
    def calls(self) -> int:
        return len(self.server.calls)


class Scripted(Server):
    """A server whose script may change."""

    script: Answering

    def __init__(self) -> None:
        super().__init__(lambda call: self.script(call))


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    with Scripted() as running:
        yield running


@pytest.fixture
def model(desk: FilesDesk, server: Scripted) -> ModelDesk:
    server.calls.clear()
    return ModelDesk(desk, server)


def test_what_the_file_says_is_published_with_where_it_says_it(model: ModelDesk) -> None:
    model.desk.mail("a.eml", body=f"Good morning,\n\n{NOTICE}\n")
    published = model.publish(row())
    assert (published.rows_in, published.rows_out) == (1, 1), published.quarantined
    (found,) = model.rows()
    assert (found["shipment_id"], found["delay_hours"], found["cause"]) == ("SHP-004579", 53, "strike")
    evidence = {item["property"]: item for item in found["evidence"]}
    assert {name: item["how"] for name, item in evidence.items()} == {
        "file": "taken", "written_at": "taken", "shipment_id": "quoted", "delay_hours": "quoted", "cause": "judged",
    }  # fmt: skip
    delay = evidence["delay_hours"]
    assert (delay["quote"], delay["part"], delay["uri"]) == ("53 hours late", "1", "sources/mail/a.eml")
    body = f"Good morning,\n\n{NOTICE}\n"
    assert body[delay["begin"] : delay["end"]] == "53 hours late"
    (call,) = model.server.calls
    schema = call.body["response_format"]["json_schema"]["schema"]
    asked = schema["properties"]["rows"]["items"]["properties"]
    assert asked["shipment_id"]["properties"]["value"] == {"type": "string", "pattern": "^SHP-[0-9]{6}$"}
    assert asked["delay_hours"]["description"] == "delay hours, in hours"
    assert asked["cause"]["properties"]["value"]["enum"] == ["weather", "strike", "other", None]
    assert "weather: bad weather" in asked["cause"]["description"]
    assert "- weather: bad weather" in call.prompt
    assert f"{NOTICE}" in call.prompt
