"""A mesh whose two products are taken from drawn files by a model."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.extracted.documents import Document

_HEAD = """\
apiVersion: v3.2.0
kind: DataContract
id: desk.{name}
version: 1.0.0
status: active
schema:
  - name: {name}
    customProperties: [{{property: timeless, value: true}}, {{property: quarantineLimit, value: 1.0}}]
    properties:
"""
_NOTICES = """\
      - {name: shipment_id, logicalType: string, primaryKey: true, logicalTypeOptions: {pattern: "^SHP-[0-9]{6}$"}}
      - name: delay_hours
        logicalType: integer
        required: true
        businessName: "delay, late, Verspätung"
        customProperties: [{property: unit, value: hours}]
      - name: cost
        logicalType: number
        physicalType: "decimal(12,2)"
        businessName: "cost, Kosten"
        customProperties: [{property: unit, value: usd}]
      - {name: loaded_on, logicalType: date, businessName: "loaded, verladen"}
      - {name: arrives_on, logicalType: date, businessName: "arrives, Ankunft"}
      - name: cause
        logicalType: string
        enum:
          - {value: weather, label: bad weather}
          - {value: strike, label: strike}
          - {value: customs, label: customs check}
      - {name: containers, logicalType: integer}
      - {name: vessel, logicalType: string}
"""
_INVOICES = """\
      - {name: invoice_id, logicalType: string, primaryKey: true}
      - name: total
        logicalType: number
        required: true
        physicalType: "decimal(12,2)"
        customProperties: [{property: unit, value: eur}]
      - name: net
        logicalType: number
        physicalType: "decimal(12,2)"
        customProperties: [{property: unit, value: eur}]
      - {name: invoiced_on, logicalType: date, businessName: invoice date}
      - {name: due_on, logicalType: date}
      - {name: weight, logicalType: integer, customProperties: [{property: unit, value: kg}]}
      - {name: tax, logicalType: integer, customProperties: [{property: unit, value: percent}]}
"""
_SAMPLES = """\
      - {name: sample_id, logicalType: string, primaryKey: true}
      - name: storage_temperature
        logicalType: number
        physicalType: "decimal(5,1)"
        businessName: storage temperature or how it is stored
        customProperties: [{property: unit, value: celsius}]
      - {name: sodium, logicalType: integer, customProperties: [{property: unit, value: mmol/l}]}
      - name: weight
        logicalType: number
        physicalType: "decimal(6,3)"
        customProperties: [{property: unit, value: gram}]
      - {name: taken_at, logicalType: timestamp}
      - {name: received_at, logicalType: timestamp}
"""
_FILES = """\
apiVersion: storymesh/v1
kind: Files
from: {{files: "sources/{name}/**", read: text}}
extract:
  model: "openai:small"
  base_url: {url}
  prompt: {name}.md.jinja
  rows: {rows}
  attempts: 1
  concurrency: 32
"""
_PRODUCT = """\
apiVersion: v1.0.0
kind: DataProduct
id: desk.{name}
status: active
customProperties: [{{property: source, value: sources/{name}.files.yaml}}]
"""
PRODUCTS = {"notices": (_NOTICES, "many"), "invoices": (_INVOICES, "one"), "samples": (_SAMPLES, "many")}


def write_mesh(root: Path, documents: Sequence[Document], url: str = "http://127.0.0.1:9/v1") -> Path:
    """Write the mesh with a file for each document, whose name has its number."""
    definitions = "from storymesh.orchestration import definitions\n\ndefs = definitions(__file__)\n"
    texts = {
        "domains/desk/domain.yaml": "id: desk\ntitle: Desk\nowner: desk@example.com\n",
        "domains/desk/definitions.py": definitions,
        "narratives/definitions.py": definitions,
    }
    for name, (properties, rows) in PRODUCTS.items():
        texts |= {
            f"contracts/desk/{name}.odcs.yaml": _HEAD.format(name=name) + properties,
            f"domains/desk/products/{name}.odps.yaml": _PRODUCT.format(name=name),
            f"domains/desk/sources/{name}.files.yaml": _FILES.format(name=name, url=url, rows=rows),
            f"domains/desk/sources/{name}.md.jinja": "What does this file say?\n{{ text }}\n",
        }
    for number, document in enumerate(documents):
        texts[f"domains/desk/sources/{document.domain}/{number // 1000}/{number}.txt"] = document.text
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root
