"""A mesh: every definition below one root, linked and frozen. All commands and all assets are made from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from storymesh.contract.definition import Contract
from storymesh.contract.read import read_contract_file
from storymesh.engine.engine import OpenEngine
from storymesh.engine.open import open_engine
from storymesh.errors import DefinitionErrors, Finding, WrongUsage, suggest_name
from storymesh.federation.access import ServerAccess
from storymesh.mesh.links import LinkCheck
from storymesh.mesh.ports import with_resolved_cast, with_resolved_inputs
from storymesh.mesh.reader import DefinitionReader
from storymesh.mesh.residency import Residency
from storymesh.mesh.settings import Domain, Settings
from storymesh.narrative.definition import Narrative, read_narrative
from storymesh.narrative.typed import TypedNarrative, type_narrative
from storymesh.product.dbt_project import DbtAccess
from storymesh.product.definition import Product, left_in_place, read_product
from storymesh.product.warehouse import Warehouse

SETTINGS_FILE = "mesh.yaml"
PARTS = ("domains", "contracts", "narratives")
Named = TypeVar("Named")


@dataclass(frozen=True)
class Mesh:
    """One mesh. Products and narratives are keyed by id, contracts by the product that keeps them; every link between
    them holds. `warnings` are about these links."""

    root: Path
    settings: Settings
    domains: Mapping[str, Domain]
    contracts: Mapping[str, Contract] = field(repr=False)
    products: Mapping[str, Product] = field(repr=False)
    narratives: Mapping[str, Narrative] = field(repr=False)
    warnings: tuple[Finding, ...] = field(default=(), repr=False)
    open_engine: OpenEngine = field(default=open_engine, repr=False)
    _typed: dict[str, TypedNarrative] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def warehouse(self) -> Warehouse:
        """Where the products are."""
        return self.settings.store.warehouse_of(self.root)

    @property
    def open_cluster(self) -> OpenEngine | None:
        """Opens the engine that makes cases, precedents and records, where `mesh.yaml` names another than this
        machine's. Raises WrongUsage for an address with a variable that is not set."""
        return self.settings.engine.open_cluster

    @property
    def store(self) -> Path:
        """The folder on this machine for everything that is made but no release."""
        return self.warehouse.folder

    @property
    def releases(self) -> Path:
        """The folder of the releases."""
        return self.root / self.settings.releases

    def prepare_store(self) -> Path:
        """Make the store's folder where it is missing, private and ignored by git; return the folder."""
        return self.warehouse.prepare_folder()

    def domain_folder(self, domain: str) -> Path:
        """Return the folder of a domain's own files."""
        return self.root / "domains" / domain

    def dbt_access(self, domain: str) -> DbtAccess:
        """Return what `mesh.yaml` lets the dbt of a domain have."""
        settings = self.settings.dbt
        read = tuple((self.root / path).resolve() for path in settings.read)
        return DbtAccess(read, settings.env, domain in settings.unconfined, settings.time_limit)

    def server_access(self, domain: str) -> ServerAccess:
        """Return what `mesh.yaml` lets the servers of a domain's contracts be."""
        settings = self.settings.servers
        read = tuple((self.root / path).resolve() for path in settings.read)
        return ServerAccess(self.domain_folder(domain), read, settings.hosts, settings.silence.total_seconds())

    def product(self, product: str) -> Product:
        """Return the product of that id. Raises WrongUsage with the nearest id."""
        return _find(self.products, product, "product")

    def contract(self, product: str) -> Contract:
        """Return the contract of a product. Raises WrongUsage with the nearest id."""
        return _find(self.contracts, product, "contract")

    def narrative(self, narrative: str) -> Narrative:
        """Return the narrative of that id or folder name. Raises WrongUsage with the nearest id."""
        return _find(self.narratives, narrative.replace("_", "-"), "narrative")

    def products_of(self, domain: str) -> list[Product]:
        """Return the products of a domain."""
        return [product for product in self.products.values() if product.domain == domain]

    @property
    def keeps_in_place(self) -> bool:
        """True if a contract leaves its rows where they are."""
        return any(contract.in_place is not None for contract in self.contracts.values())

    @property
    def residency(self) -> Residency:
        """Where its products are, and what may leave there."""
        return Residency(self.settings, self.domains, self.contracts)

    def cast_of(self, narrative: Narrative) -> dict[str, Contract]:
        """Return the contract of each role, in the order of the cast, as it holds where the cases are made."""
        at_home = partial(self.residency.contract_at_home, narrative=narrative)
        return {role: at_home(self.contract(member.product)) for role, member in narrative.cast.items()}

    def typed(self, narrative: Narrative) -> TypedNarrative:
        """Return a narrative of this mesh typed against the contracts of its cast. Raises DefinitionErrors."""
        if narrative.id not in self._typed:
            self._typed[narrative.id] = type_narrative(narrative, self.cast_of(narrative))
        return self._typed[narrative.id]


def find_root(start: Path) -> Path:
    """Return the mesh root at or above `start`. Raises WrongUsage when there is none."""
    here = start.resolve()
    for folder in (here, *here.parents):
        if all((folder / part).is_dir() for part in PARTS):
            return folder
    hint = "a mesh root holds domains/, contracts/ and narratives/; name one with --mesh DIR"
    raise WrongUsage(f"no mesh root at or above {start}", hint)


def read_settings(root: Path) -> Settings:
    """Return `mesh.yaml` of the root alone, for what needs no definition. Raises DefinitionErrors."""
    reader = DefinitionReader(root.resolve())
    settings = reader.read_settings()
    if reader.findings:
        raise DefinitionErrors(reader.findings)
    return settings


def load_mesh(root: Path) -> Mesh:
    """Read and link every definition below `root`. Raises DefinitionErrors with the findings of all files at once."""
    mesh, findings = read_mesh(root)
    if any(finding.severity == "error" for finding in findings):
        raise DefinitionErrors(findings)
    return mesh


def read_mesh(root: Path) -> tuple[Mesh, list[Finding]]:
    """Return what can be read of the mesh at `root`, and the findings of its files and of the links between them.

    Where a file cannot be read, what is built on it is left out too, and nothing is said of what it would be linked to.
    Raises WrongUsage when `root` is no mesh root.
    """
    root = root.resolve()
    if missing := [part for part in PARTS if not (root / part).is_dir()]:
        raise WrongUsage(f"{root} is no mesh root: {', '.join(missing)} missing", "see --mesh DIR")
    reader = DefinitionReader(root)
    settings = reader.read_settings()
    domains = reader.read_domains()
    read_file = partial(read_contract_file, classifications=settings.classifications)
    files = reader.read_all("contracts", "*/*.odcs.yaml", read_file)
    products = reader.read_all("domains", "*/products/*.odps.yaml", read_product)
    contracts = reader.read_contracts(files, products)
    narratives = reader.read_all("narratives", "*/narrative.yaml", read_narrative)
    findings = reader.findings
    unread = frozenset(filter(None, (_unread(finding) for finding in findings if finding.severity == "error")))

    reader.check_premise_narratives(settings)

    def whole(id_: str) -> bool:
        return not unread & {id_, id_.partition(".")[0]}

    products = {id_: with_resolved_inputs(item, products, files) for id_, item in products.items() if whole(id_)}
    contracts = {id_: contract for id_, contract in contracts.items() if whole(id_)}
    for id_, contract in contracts.items():
        if contract.in_place is not None and id_ in products:
            products[id_] = left_in_place(products[id_], contract.in_place)
    narratives = {
        id_: with_resolved_cast(item, contracts)
        for id_, item in narratives.items()
        if all(whole(member.product) for member in item.cast.values())
    }
    links = LinkCheck(settings, domains, reader.domain_documents, contracts, files, products, narratives)
    names = [f"'{name}{end}" for name in unread for end in ("'", ".")]
    linked = [finding for finding in links.findings() if not any(name in finding.message for name in names)]
    warnings = tuple(finding for finding in linked if finding.severity != "error")
    placed = Residency(settings, domains, contracts).placed(contracts)
    mesh = Mesh(root, settings, domains, placed, products, narratives, warnings)
    return mesh, [*findings, *(() if SETTINGS_FILE in unread else linked)]


def _unread(finding: Finding) -> str | None:
    """Return what an unreadable file would define: a domain, a product, or the settings."""
    parts = finding.location.path.split("/")
    match parts:
        case [name] if name == SETTINGS_FILE:
            return name
        case ["domains", domain] | ["domains", domain, "domain.yaml"]:
            return domain
        case ["contracts", domain, name] | ["domains", domain, "products", name]:
            return f"{domain}.{name.partition('.')[0]}"
        case _:
            return None


def _find(known: Mapping[str, Named], name: str, kind: str) -> Named:
    if name not in known:
        raise WrongUsage(f"there is no {kind} '{name}'", suggest_name(name, known))
    return known[name]
