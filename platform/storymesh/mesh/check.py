"""The findings about a mesh's files before any data is read: what `storymesh check` prints.

Besides what reading finds, these are faults that no single file shows and that Dagster would load without a word: two
assets of one key, a domain that no code location serves, a product that nothing makes.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from storymesh.contract.checks import checks_of
from storymesh.contract.definition import Contract
from storymesh.contract.quality_rules import SqlRule
from storymesh.contract.table_metrics import fill_placeholders
from storymesh.document import read_document
from storymesh.engine.open import rule_fault
from storymesh.engine.sql_text import quote_name
from storymesh.errors import DefinitionErrors, Finding, suggest_name
from storymesh.federation.server import server_findings
from storymesh.files.definition_path import is_files_source
from storymesh.location import Location
from storymesh.mesh.code_location_findings import code_location_findings
from storymesh.mesh.code_owners import code_owners_findings
from storymesh.mesh.dbt_check import dbt_findings, dbt_verdicts
from storymesh.mesh.mesh import SETTINGS_FILE, Mesh, read_mesh
from storymesh.mesh.misplaced import definition_files, misplaced_files, unportable_configs, unportable_files
from storymesh.mesh.model_hosts import model_findings
from storymesh.mesh.residency_findings import residency_findings
from storymesh.mesh.valid_part import ValidPart, valid_part
from storymesh.narrative.definition import CastMember, Narrative
from storymesh.narrative.evaluation import evaluation_files
from storymesh.narrative.scenario import read_scenarios
from storymesh.product.dbt_files import has_dbt_project
from storymesh.product.definition import Product
from storymesh.product.sources.server_relation import server_table_findings
from storymesh.product.sources.source_paths import source_problem

# Folders of the store, and the code location of the narratives: a domain of such a name would share them.
RESERVED_DOMAINS = ("dagster", "logs", "narratives")
_SQL_RULE_HINT = "write one SELECT in DuckDB's SQL over {object} that gives one value"
_NO_LETTER = re.compile(r"[^A-Za-z0-9_]")


def check_files(root: Path, *, ask_dbt: bool = False) -> list[Finding]:
    """Return every finding of the mesh at `root`, errors and warnings, in the order of files and lines.

    What dbt refused when it was last asked about the same files is among them; `ask_dbt`: dbt is asked, of each project
    that has no other fault. Raises WrongUsage when `root` is no mesh root.
    """
    part, findings = load_checked(root)
    return sorted({*findings, *dbt_verdicts(part.mesh, ask=ask_dbt)})


def load_checked(root: Path) -> tuple[ValidPart, list[Finding]]:
    """Return the part of the mesh at `root` that has no errors, and every finding, as `check_files`."""
    mesh, findings = read_mesh(root)
    errors = blocking_findings(findings)
    # Without the settings nobody knows what the other files may say.
    settled = all(finding.location.path != SETTINGS_FILE for finding in errors)
    more = check_mesh(mesh) if settled else _file_findings(mesh.root)
    found = sorted({*findings, *more})
    return valid_part(mesh, found), found


def count_definitions(root: Path) -> dict[str, int]:
    """Return how many files of each kind there are below `root` to look at, whether or not they can be read."""
    kinds = {"domain": "domains/*/domain.yaml", "product": "domains/*/products/*.odps.yaml"}
    kinds |= {"narrative": "narratives/*/narrative.yaml", "scenario": "narratives/*/scenarios/*.yaml"}
    return {kind: sum(1 for _ in root.glob(pattern)) for kind, pattern in kinds.items()}


def check_mesh(mesh: Mesh) -> list[Finding]:
    """Return the findings of the definitions of a mesh that could be read."""
    findings = list(mesh.warnings)
    findings += [finding for contract in mesh.contracts.values() for finding in contract.warnings]
    findings += [finding for contract in mesh.contracts.values() for finding in _sql_rule_findings(contract)]
    findings += [finding for contract in mesh.contracts.values() for finding in server_findings(contract)]
    findings += [finding for product in mesh.products.values() for finding in product.warnings]
    if mesh.keeps_in_place:
        from storymesh.mesh.in_place_findings import in_place_findings

        findings += in_place_findings(mesh)
    findings += _file_findings(mesh.root)
    findings += _unconfined_findings(mesh)
    findings += _name_findings(mesh)
    findings += code_location_findings(mesh)
    findings += code_owners_findings(mesh)
    for product in mesh.products.values():
        findings += _source_findings(mesh, product)
    findings += dbt_findings(mesh)
    for narrative in mesh.narratives.values():
        if all(_is_promised(mesh, member) for member in narrative.cast.values()):
            findings += _type_findings(mesh, narrative)
        findings += unportable_configs(narrative)
    return sorted(set(findings))


def _is_promised(mesh: Mesh, member: CastMember) -> bool:
    contract = mesh.contracts.get(member.product)
    return contract is not None and contract.major == member.major


def blocking_findings(findings: list[Finding]) -> list[Finding]:
    """Return the findings with which nothing may run."""
    return [finding for finding in findings if finding.severity == "error"]


def _file_findings(root: Path) -> Iterator[Finding]:
    yield from misplaced_files(root)
    yield from unportable_files(definition_files(root))


def _unconfined_findings(mesh: Mesh) -> Iterator[Finding]:
    """Check that the domains whose dbt may do everything are domains of the mesh."""
    for index, name in enumerate(mesh.settings.dbt.unconfined):
        if name not in mesh.domains:
            document = read_document(mesh.root / SETTINGS_FILE, mesh.root)
            message = f"there is no domain '{name}' whose dbt could be unconfined"
            hint = suggest_name(name, mesh.domains)
            yield document.finding(("dbt", "unconfined", index), "unknown-name", message, hint)


def _name_findings(mesh: Mesh) -> Iterator[Finding]:
    for domain in mesh.domains:
        if domain in RESERVED_DOMAINS:
            location = Location(f"domains/{domain}/domain.yaml")
            yield Finding(
                location, "reserved-name", f"'{domain}' means something to the platform", "name the domain otherwise"
            )
    named: dict[str, Product] = {}
    for product in mesh.products.values():
        plain = _NO_LETTER.sub("_", product.id.replace(".", "__", 1))
        other = named.setdefault(plain.lower(), product)
        if other is not product and other.id.lower() == product.id.lower():
            words = (
                f"'{product.id}' and '{other.id}' differ in upper and lower case only, as no engine and few disks do"
            )
            yield Finding(product.location, "duplicate-id", words, "rename one of the two")
        elif other is not product:
            words = f"'{product.id}' and '{other.id}' are one name to Dagster, which writes other characters as '_'"
            yield Finding(product.location, "duplicate-id", words, "rename one of the two")
    for narrative in mesh.narratives.values():
        if narrative.name in mesh.domains:
            message = (
                f"the narrative '{narrative.id}' has the name of a domain, so their assets could not be told apart"
            )
            yield Finding(narrative.at("id"), "duplicate-id", message, "rename one of the two")


def _source_findings(mesh: Mesh, product: Product) -> Iterator[Finding]:
    """Check that the rows of a product come from somewhere: a file, a table of a server, or a dbt model of its name."""
    folder = mesh.domain_folder(product.domain)
    if product.layout.server is not None and product.id in mesh.contracts:
        yield from server_table_findings(product, mesh.contracts[product.id])
    if not product.is_model:
        if is_files_source(product.source):
            from storymesh.mesh.file_definitions import files_findings

            yield from files_findings(mesh, product)
        elif product.source is not None and (problem := source_problem(product, folder)):
            message, hint = problem
            yield Finding(product.source_location, "no-rows", f"source '{product.source}': {message}", hint)
        yield from _column_findings(mesh, product)
        if has_dbt_project(folder) and any(_model_files(folder, product.name)):
            message = f"the rows of '{product.id}' are those of its source; the dbt model '{product.name}' is not read"
            hint = "leave one of the two away"
            yield Finding(product.source_location, "two-sources", message, hint, "warning")
        return
    if not has_dbt_project(folder):
        message = (
            f"nothing makes the rows of '{product.id}': it names no source, and {product.domain} has no dbt project"
        )
        hint = (
            "add customProperties: [{property: source, value: sources/<file>}], or a model, "
            f"domains/{product.domain}/models/{product.name}.sql"
        )
        yield Finding(product.location, "no-rows", message, hint)
        return
    if not any(_model_files(folder, product.name)):
        message = f"nothing makes the rows of '{product.id}': the dbt project has no model '{product.name}'"
        yield Finding(product.location, "no-rows", message, f"write domains/{product.domain}/models/{product.name}.sql")


def _column_findings(mesh: Mesh, product: Product) -> Iterator[Finding]:
    """Check that a property reads each column of a file that is said to be written in a way of its own."""
    contract = mesh.contracts.get(product.id)
    names = [name for item in contract.properties.values() for name in item.column_names] if contract else []
    for column in product.layout.columns if contract else ():
        if column.lower() not in {name.lower() for name in names}:
            words = f"columns names '{column}', and no property of the contract reads a column of that name"
            yield Finding(product.source_location, "unknown-name", words, suggest_name(column, names))


def _type_findings(mesh: Mesh, narrative: Narrative) -> Sequence[Finding]:
    """Type the narrative and its scenarios against its contracts, and return what is wrong."""
    try:
        typed = mesh.typed(narrative)
        evaluation_files(narrative, mesh.root)
        read_scenarios(mesh.root / narrative.folder, mesh.root, typed)
        findings = [*typed.warnings, *model_findings(narrative, mesh.settings)]
        findings += residency_findings(mesh.residency, typed)
        if mesh.keeps_in_place:
            from storymesh.mesh.in_place_findings import unheld_findings

            findings += unheld_findings(mesh, typed)
    except DefinitionErrors as errors:
        return errors.findings
    return findings


def _model_files(folder: Path, name: str) -> Iterator[Path]:
    pattern = re.compile(rf"{re.escape(name)}\.(sql|py)", re.IGNORECASE)
    for path in folder.rglob("*"):
        if pattern.fullmatch(path.name) and not {"target", "dbt_packages"} & set(path.relative_to(folder).parts):
            yield path


def _sql_rule_findings(contract: Contract) -> Iterator[Finding]:
    """Yield a finding, as severe as the rule, for each SQL rule that the engine does not parse."""
    for check in checks_of(contract):
        if isinstance(check.test, SqlRule):
            about = check.properties[0] if check.properties else ""
            query = fill_placeholders(quote_name, check.test.query, contract, about)
            if (fault := rule_fault(query, contract.name)) is not None:
                message = f"the SQL of the rule '{check.name}' cannot be run: {fault}"
                yield Finding(check.location, "quality-rule", message, _SQL_RULE_HINT, check.severity)
