"""Which asset key stands for what. Keys are the only thing that code locations share, so they are made in one place."""

import dagster as dg

from storymesh.narrative.definition import Narrative


def product_key(product: str) -> dg.AssetKey:
    """`<domain>.<product>` as the key [domain, product]."""
    domain, name = product.split(".", 1)
    return dg.AssetKey([domain, name])


def model_key(domain: str, model: str) -> dg.AssetKey:
    return dg.AssetKey([domain, "models", model])


def source_key(domain: str, source: str) -> dg.AssetKey:
    """The raw file `source` (relative to the domain's folder), which no asset here makes."""
    return dg.AssetKey([domain, "sources", source.removeprefix("sources/")])


def cases_key(narrative: Narrative) -> dg.AssetKey:
    return dg.AssetKey([narrative.name, "cases"])


def precedents_key(narrative: Narrative) -> dg.AssetKey:
    return dg.AssetKey([narrative.name, "precedents"])


def records_key(narrative: Narrative, config: str) -> dg.AssetKey:
    return dg.AssetKey([narrative.name, "records", config])


def release_key(narrative: Narrative) -> dg.AssetKey:
    return dg.AssetKey([narrative.name, "release"])
