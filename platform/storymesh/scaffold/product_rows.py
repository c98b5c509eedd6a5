"""The rows of a mesh's products, for guesses: as a product is published, or else as its file has them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from storymesh.contract.cast import plan_cast
from storymesh.contract.definition import Contract
from storymesh.engine.engine import Engine
from storymesh.errors import StorymeshError
from storymesh.files.definition_path import is_files_source
from storymesh.mesh.mesh import Mesh
from storymesh.product.sources.open import open_product_rows
from storymesh.product.store import ProductStore

if TYPE_CHECKING:
    import ibis.expr.types as ir

_MIN_DISTINCT = 10  # values that are keys of another product by chance are few


@dataclass
class ProductRows:
    """Reads the rows of products once each; of those that nobody can read here, nothing is guessed."""

    mesh: Mesh
    engine: Engine | None
    _known: "dict[str, ir.Table | None]" = field(default_factory=dict)

    def read(self, contract: Contract) -> "ir.Table | None":
        """Return the rows of a product by the names of its contract; None where nobody knows them."""
        if self.engine is None:
            return None
        if contract.id not in self._known:
            try:
                self._known[contract.id] = self._read(contract, self.engine)
            except StorymeshError:
                self._known[contract.id] = None
        return self._known[contract.id]

    def _read(self, contract: Contract, engine: Engine) -> "ir.Table | None":
        product = self.mesh.product(contract.id)
        residence = contract.residence
        if residence is not None and residence.guarded and residence.is_elsewhere:
            return None  # of a premise that keeps its values nothing is guessed from rows
        latest = ProductStore(self.mesh.warehouse, product.domain).latest_snapshot(product.name)
        if latest is not None:
            return engine.read_parquet(latest.files, latest.schema)
        if product.source is None or is_files_source(product.source):
            return None
        folder = self.mesh.domain_folder(product.domain)
        reader = open_product_rows(product, contract, folder, folder, engine)
        columns = dict(zip(contract.properties, reader.schema.names, strict=True))
        plan = plan_cast(contract, reader.schema, columns, product.layout.forms)
        return plan.select(engine.materialize(reader, reader.schema))

    @classmethod
    @contextmanager
    def of(cls, mesh: Mesh) -> "Iterator[ProductRows]":
        """Yield the rows of a mesh; none where its engine cannot be had."""
        with ExitStack() as stack:
            engine = None
            with suppress(StorymeshError):
                engine = stack.enter_context(mesh.open_engine())
            yield cls(mesh, engine)

    def names_key(self, contract: Contract, column: str, other: Contract) -> bool:
        """Return True if every value of a column is the key of another product, and there are enough to say so."""
        rows, others = self.read(contract), self.read(other)
        if self.engine is None or rows is None or others is None:
            return False
        values = rows.select(value=rows[column]).drop_null().distinct()
        keys = others.select(value=others[other.key[0]]).distinct()
        if self.engine.fetch_value(values.count()) < _MIN_DISTINCT:
            return False
        return bool(self.engine.fetch_value(values.anti_join(keys, "value").count()) == 0)
