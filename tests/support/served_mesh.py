"""A mesh of text: domains whose products are read from servers, and one beside them that reads a file."""

from collections.abc import Mapping
from pathlib import Path

CONTRACT = """\
apiVersion: v3.2.0
kind: DataContract
id: {id}
version: 1.0.0
status: active
servers:
  - {server}
schema:
  - name: {name}
    customProperties: [{{property: eventTime, value: at}}{more}]
    properties:
      - {{name: id, logicalType: integer, primaryKey: true, physicalName: tx_id}}
      - {{name: at, logicalType: timestamp, required: true, physicalName: booked_at}}
      - {{name: amount, logicalType: number, physicalType: "decimal(12,2)", physicalName: Amount}}
      - {{name: ok, logicalType: boolean}}
      - {{name: note, logicalType: string}}
"""
FILE_CONTRACT = """\
apiVersion: v3.2.0
kind: DataContract
id: desk.ports
version: 1.0.0
status: active
schema:
  - name: ports
    customProperties: [{property: timeless, value: true}]
    properties: [{name: id, logicalType: string, primaryKey: true}, {name: title, logicalType: string}]
"""
PRODUCT = """\
apiVersion: v1.0.0
kind: DataProduct
id: {}
status: active
customProperties: [{{property: source, value: {}}}]
"""
DEFINITIONS = "from storymesh.orchestration import definitions\n\ndefs = definitions(__file__)\n"


def write_mesh(root: Path, server: str, sources: Mapping[str, str], more: str = "") -> Path:
    """Write a mesh of the domain `bank`, whose products have these sources at a server, and `desk` of one file."""
    for domain in ("bank", "desk"):
        _write(root / f"domains/{domain}/domain.yaml", f"id: {domain}\ntitle: {domain}\nowner: {domain}@example.com\n")
        _write(root / f"domains/{domain}/definitions.py", DEFINITIONS)
    for name, source in sources.items():
        contract = CONTRACT.format(id=f"bank.{name}", name=name, server=server, more=more)
        _write(root / f"contracts/bank/{name}.odcs.yaml", contract)
        _write(root / f"domains/bank/products/{name}.odps.yaml", PRODUCT.format(f"bank.{name}", source))
    _write(root / "contracts/desk/ports.odcs.yaml", FILE_CONTRACT)
    _write(root / "domains/desk/products/ports.odps.yaml", PRODUCT.format("desk.ports", "sources/ports.csv"))
    _write(root / "domains/desk/sources/ports.csv", "id,title\nNLRTM,Rotterdam\n")
    (root / "narratives").mkdir()
    fields = "relative_path: domains/{0}/definitions.py, working_directory: ., location_name: {0}"
    entries = "".join(f"  - python_file: {{{fields.format(domain)}}}\n" for domain in ("bank", "desk"))
    _write(root / "workspace.yaml", f"load_from:\n{entries}")
    return root


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
