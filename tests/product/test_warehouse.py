import pickle
from pathlib import Path

import pytest

from storymesh.errors import WrongUsage
from storymesh.product.warehouse import Warehouse, address_fault


def test_a_warehouse_keeps_its_bucket_and_catalog_when_it_is_pickled(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path, "s3://mesh/here", "postgresql+psycopg2://db/mesh")
    assert pickle.loads(pickle.dumps(warehouse)) == warehouse


def test_addresses_are_filled_in_when_they_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = Warehouse(tmp_path, "s3://${BUCKET}/x", "${CATALOG:-}")
    with pytest.raises(WrongUsage, match="BUCKET is not set"):
        _ = warehouse.bucket_url
    monkeypatch.setenv("BUCKET", "mesh")
    assert warehouse.bucket_url == "s3://mesh/x"
    assert warehouse.catalog_url is None


def test_an_address_has_no_password_and_a_known_scheme() -> None:
    assert address_fault("s3://mesh/x", ("s3",)) is None
    assert address_fault("${BUCKET}", ("s3",)) is None
    assert "is no address that begins with s3://" in str(address_fault("gs://mesh", ("s3",)))
    assert "a password stands in this file" in str(address_fault("postgresql://me:secret@db/mesh", ("postgresql",)))
