"""A dbt project that cannot be parsed: each of its models is an asset that fails in words, and the rest loads."""

from types import SimpleNamespace
from typing import Any

import dagster as dg

from storymesh.errors import TransformFailed
from storymesh.orchestration.assets.dbt_models import _failing_models
from storymesh.orchestration.assets.keys import model_key, product_key


def test_two_models_of_which_one_reads_the_others_product() -> None:
    products = [
        SimpleNamespace(name="first", source=None, is_model=True, inputs=[]),
        SimpleNamespace(name="second", source=None, is_model=True, inputs=[SimpleNamespace(contract_id="desk.first")]),
    ]
    owner = SimpleNamespace(owner="desk@example.com")
    mesh: Any = SimpleNamespace(products_of=lambda domain: products, domains={"desk": owner})

    @dg.asset(key=product_key("desk.first"), deps=[model_key("desk", "first")])
    def published() -> None: ...

    models = _failing_models(mesh, "desk", TransformFailed("dbt cannot read 'models/first.sql'"))
    job = dg.define_asset_job("one", selection=dg.AssetSelection.assets(model_key("desk", "second")))
    definitions = dg.Definitions(assets=[*models, published], jobs=[job])
    ran = definitions.resolve_job_def("one").execute_in_process(raise_on_error=False)
    [failure] = ran.get_step_failure_events()
    assert "dbt cannot read 'models/first.sql'" in str(failure.step_failure_data.error)
