"""Every definition below one mesh root, linked and frozen: what all commands and all assets are made from."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from storymesh.case.definition import NAME
from storymesh.contract.definition import Contract, read_contract
from storymesh.document import Document, read_document
from storymesh.engine.engine import OpenEngine
from storymesh.engine.open import open_engine
from storymesh.errors import DefinitionErrors, Finding, WrongUsage, suggest_name
from storymesh.location import Location
from storymesh.mesh.schedule import Schedule
from storymesh.narrative.definition import Narrative, read_narrative
from storymesh.product.definition import Product, read_product
from storymesh.product.warehouse import BUCKETS, CATALOGS, Warehouse, address_fault

PARTS = ("domains", "contracts", "narratives")
Read = TypeVar("Read")


def _relative_folder(value: str) -> str:
    if Path(value).is_absolute():
        words = f"'{value}' is an absolute path, which no other machine has; write it relative to the mesh root"
        raise ValueError(words)
    return value


Folder = Annotated[str, AfterValidator(_relative_folder)]


def _address(*schemes: str) -> AfterValidator:
    def checked(value: str) -> str:
        if fault := address_fault(value, schemes):
            raise ValueError(fault)
        return value

    return AfterValidator(checked)


class StoreSettings(BaseModel):
    """Where products lie. `folder` is on this machine: locks, quarantined rows, builds, and the products too where
    neither `warehouse` (an `s3://` address) nor `catalog` (a database, as SQLAlchemy writes it) says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Folder = ".storymesh"
    warehouse: Annotated[str, _address(*BUCKETS)] | None = None
    catalog: Annotated[str, _address(*CATALOGS)] | None = None

    def warehouse_of(self, root: Path) -> Warehouse:
        """Return where the mesh in the folder `root` keeps its products."""
        return Warehouse(root / self.folder, self.warehouse, self.catalog)


def _store(value: Any) -> Any:
    return {"folder": value} if isinstance(value, str) else value


class Settings(BaseModel):
    """`mesh.yaml`. Without the file the embedded defaults hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Literal["duckdb"] = "duckdb"
    store: Annotated[StoreSettings, BeforeValidator(_store)] = StoreSettings()
    releases: Folder = "releases"
    premises: tuple[str, ...] = ("default",)
    schedule: Schedule | None = None  # of the whole mesh, in UTC


class Domain(BaseModel):
    """`domain.yaml`: a team boundary, one folder under `domains/`, one Dagster code location."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    owner: str
    premise: str = "default"
    description: str = ""
    schedule: Schedule | None = None  # of every model and product of the domain, in UTC


class Mesh(BaseModel):
    """One mesh. Products, contracts and narratives are keyed by id; every link between them holds."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    root: Path
    settings: Settings
    domains: Mapping[str, Domain]
    contracts: Mapping[str, Any] = Field(repr=False)
    products: Mapping[str, Any] = Field(repr=False)
    narratives: Mapping[str, Narrative] = Field(repr=False)
    open_engine: OpenEngine = Field(default=open_engine, repr=False)

    @property
    def warehouse(self) -> Warehouse:
        """Where the products are."""
        return self.settings.store.warehouse_of(self.root)

    @property
    def store(self) -> Path:
        """The folder on this machine for everything that is made but no release."""
        return self.warehouse.folder

    @property
    def releases(self) -> Path:
        return self.root / self.settings.releases

    def domain_folder(self, domain: str) -> Path:
        return self.root / "domains" / domain

    def product(self, product: str) -> Product:
        found: Product = _named(self.products, product, "product")
        return found

    def contract(self, product: str) -> Contract:
        found: Contract = _named(self.contracts, product, "contract")
        return found

    def narrative(self, narrative: str) -> Narrative:
        """By id or by folder name. Raises WrongUsage with the nearest name."""
        return _named(self.narratives, narrative.replace("_", "-"), "narrative")

    def products_of(self, domain: str) -> list[Product]:
        return [product for product in self.products.values() if product.domain == domain]

    def cast_of(self, narrative: Narrative) -> dict[str, Contract]:
        """Role -> contract, in the order of the cast."""
        return {role: self.contract(member.product) for role, member in narrative.cast.items()}


def find_root(start: Path) -> Path:
    """The mesh root at or above `start`. Raises WrongUsage when there is none."""
    here = start.resolve()
    for folder in (here, *here.parents):
        if all((folder / part).is_dir() for part in PARTS):
            return folder
    hint = "a mesh root holds domains/, contracts/ and narratives/; name one with --mesh DIR"
    raise WrongUsage(f"no mesh root at or above {start}", hint)


def read_settings(root: Path) -> Settings:
    """`mesh.yaml` of the root alone, for what needs no definition. Raises DefinitionErrors."""
    reading = _Reading(root.resolve())
    settings = reading.settings()
    if reading.findings:
        raise DefinitionErrors(reading.findings)
    return settings


def load_mesh(root: Path) -> Mesh:
    """Read and link every definition below `root`. Raises DefinitionErrors with the findings of all files at once."""
    root = root.resolve()
    if missing := [part for part in PARTS if not (root / part).is_dir()]:
        raise WrongUsage(f"{root} is no mesh root: {', '.join(missing)} missing", "see --mesh DIR")
    reading = _Reading(root)
    settings = reading.settings()
    domains = reading.domains()
    contracts = reading.each("contracts", "*/*.odcs.yaml", read_contract)
    products = reading.each("domains", "*/products/*.odps.yaml", read_product)
    narratives = reading.each("narratives", "*/narrative.yaml", read_narrative)
    if not reading.findings:
        reading.link(settings, domains, contracts, products, narratives)
    if reading.findings:
        raise DefinitionErrors(reading.findings)
    return Mesh(
        root=root, settings=settings, domains=domains, contracts=contracts, products=products, narratives=narratives
    )


class _Reading:
    """One pass over the files of a root, which gathers findings rather than stop at the first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.findings: list[Finding] = []
        self.documents: dict[str, Document] = {}

    def attempt(self, read: Callable[[], Read]) -> Read | None:
        try:
            return read()
        except DefinitionErrors as refused:
            self.findings.extend(refused.findings)
            return None

    def settings(self) -> Settings:
        path = self.root / "mesh.yaml"
        if not path.exists():
            return Settings()
        return self.attempt(lambda: read_document(path, self.root).parse(Settings)) or Settings()

    def domains(self) -> dict[str, Domain]:
        domains: dict[str, Domain] = {}
        for folder in sorted(path for path in (self.root / "domains").iterdir() if path.is_dir()):
            if folder.name.startswith((".", "_")):
                continue
            path = folder / "domain.yaml"
            if not path.exists():
                place = Location(f"domains/{folder.name}")
                hint = "write one with id, title and owner"
                self.findings.append(Finding(place, "missing-file", "this domain has no domain.yaml", hint))
                continue
            document = self.attempt(lambda path=path: read_document(path, self.root))  # type: ignore[misc]
            domain = self.attempt(lambda document=document: document.parse(Domain)) if document else None  # type: ignore[misc]
            if document is None or domain is None:
                continue
            self.documents[domain.id] = document
            if domain.id != folder.name or not NAME.match(domain.id):
                words = f"the domain '{domain.id}' lies in the folder '{folder.name}'"
                hint = "a domain's id is its folder's name"
                self.findings.append(document.finding(["id"], "wrong-place", words, hint))
            domains[folder.name] = domain
        return domains

    def each(self, part: str, pattern: str, read: Callable[[Path, Path], Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for path in sorted((self.root / part).glob(pattern)):
            item = self.attempt(lambda path=path: read(path, self.root))  # type: ignore[misc]
            if item is None:
                continue
            if item.id in found:
                words = f"'{item.id}' is defined twice, first in {found[item.id].document.path}"
                self.findings.append(item.document.finding(["id"], "duplicate-id", words))
            found[item.id] = item
        return found

    def link(
        self,
        settings: Settings,
        domains: Mapping[str, Domain],
        contracts: Mapping[str, Contract],
        products: Mapping[str, Product],
        narratives: Mapping[str, Narrative],
    ) -> None:
        for name, domain in domains.items():
            if domain.premise not in settings.premises:
                words = f"the premise '{domain.premise}' is not among mesh.yaml's premises"
                hint = suggest_name(domain.premise, settings.premises)
                self.findings.append(self.documents[name].finding(["premise"], "unknown-name", words, hint))
        for product in products.values():
            self._link_product(product, domains, contracts, products)
        for contract in contracts.values():
            self._link_contract(contract, contracts, products)
        for narrative in narratives.values():
            for role, member in narrative.cast.items():
                self._link_member(narrative, role, member.product, member.major, contracts, products)
        self._find_circles(products)

    def _link_product(
        self,
        product: Product,
        domains: Mapping[str, Domain],
        contracts: Mapping[str, Contract],
        products: Mapping[str, Product],
    ) -> None:
        document = product.document
        if product.domain not in domains:
            words = f"the domain '{product.domain}' has no domain.yaml"
            self.findings.append(document.finding(["id"], "unknown-name", words, suggest_name(product.domain, domains)))
        if product.id not in contracts:
            words = f"the product '{product.id}' has no contract"
            hint = f"write contracts/{product.id.replace('.', '/')}.odcs.yaml"
            self.findings.append(document.finding(["id"], "missing-contract", words, hint))
        for output in product.outputs:
            if output.contract_id not in contracts and output.contract_id != product.id:
                words = (
                    f"the output port '{output.name}' names the contract '{output.contract_id}', which does not exist"
                )
                self.findings.append(
                    Finding(output.location, "unknown-name", words, suggest_name(output.contract_id, contracts))
                )
        for port in product.inputs:
            if port.contract_id not in products:
                words = f"the input port '{port.name}' asks for '{port.contract_id}', which nobody publishes"
                self.findings.append(
                    Finding(port.location, "unknown-name", words, suggest_name(port.contract_id, products))
                )

    def _link_contract(
        self, contract: Contract, contracts: Mapping[str, Contract], products: Mapping[str, Product]
    ) -> None:
        if contract.id not in products:
            words = f"nobody publishes '{contract.id}'"
            hint = f"write domains/{contract.domain}/products/{contract.name}.odps.yaml"
            self.findings.append(contract.document.finding(["id"], "missing-product", words, hint))
        for relationship in contract.relationships:
            parent = contracts.get(relationship.to_contract)
            if parent is None:
                words = f"the relationship leads to '{relationship.to_contract}', which has no contract"
                hint = suggest_name(relationship.to_contract, contracts)
                self.findings.append(Finding(relationship.location, "unknown-name", words, hint))
                continue
            for column in relationship.to_columns:
                if parent.property_at(column) is None:
                    words = f"'{relationship.to_contract}' has no property '{column}'"
                    hint = suggest_name(column, parent.properties)
                    self.findings.append(Finding(relationship.location, "unknown-name", words, hint))

    def _link_member(
        self,
        narrative: Narrative,
        role: str,
        product: str,
        major: int,
        contracts: Mapping[str, Contract],
        products: Mapping[str, Product],
    ) -> None:
        document: Document = narrative.document
        if product not in products:
            words = f"nobody publishes the product '{product}'"
            self.findings.append(
                document.finding(["cast", role], "unknown-name", words, suggest_name(product, products))
            )
        elif contracts[product].major != major:
            words = f"'{product}' is at version {contracts[product].version}, the cast wants major version {major}"
            hint = "follow the contract's change"
            self.findings.append(document.finding(["cast", role], "wrong-version", words, hint))

    def _find_circles(self, products: Mapping[str, Product]) -> None:
        done: set[str] = set()

        def visit(product: str, path: tuple[str, ...]) -> None:
            if product in path:
                circle = " -> ".join((*path[path.index(product) :], product))
                place = products[product].inputs[0].location
                self.findings.append(
                    Finding(place, "circle", f"products are built on each other in a circle: {circle}")
                )
                done.update(path)
            elif product in products and product not in done:
                for port in products[product].inputs:
                    visit(port.contract_id, (*path, product))
                done.add(product)

        for product in products:
            visit(product, ())


def _named(known: Mapping[str, Read], name: str, kind: str) -> Read:
    if name not in known:
        raise WrongUsage(f"there is no {kind} '{name}'", suggest_name(name, known))
    return known[name]
