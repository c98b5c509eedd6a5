"""The version of a product's content: the digest of its rows, the same on every machine and in every order.

The contract's prose has no part in it: whoever rewords a description publishes nothing new.
"""

from collections.abc import Sequence

from storymesh.contract.definition import Contract
from storymesh.contract.types import arrow_schema
from storymesh.engine.engine import Engine


def content_version(engine: Engine, files: Sequence[str], contract: Contract) -> str:
    """Return the digest of the rows in Parquet `files`, in the columns and types of the contract."""
    return engine.content_digest(engine.read_parquet(files, arrow_schema(contract)))
