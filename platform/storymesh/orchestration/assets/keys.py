"""The keys of assets. Code locations share nothing else, so all keys are made here."""

import hashlib
import posixpath
import re

import dagster as dg

from storymesh.narrative.definition import Narrative

MODELS = "models"
SHARDS = "shards"
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_OTHERS = re.compile(r"[^A-Za-z0-9_.-]+")


def product_key(product: str) -> dg.AssetKey:
    """Return the key [domain, name] of the product `<domain>.<name>`."""
    domain, name = product.split(".", 1)
    return dg.AssetKey([domain, name])


def model_key(domain: str, model: str) -> dg.AssetKey:
    """Return the key of a dbt model."""
    return dg.AssetKey([domain, MODELS, model])


def shards_key(product: str) -> dg.AssetKey:
    """Return the key of the files of a product in shards."""
    domain, name = product.split(".", 1)
    return dg.AssetKey([domain, SHARDS, name])


def source_key(domain: str, source: str) -> dg.AssetKey:
    """Return the key of the raw file `source`, a path relative to the domain's folder.

    A file of the folder sources/ keeps its name. Dagster allows letters, digits, `_`, `.` and `-`: of any other path
    the rest is dropped, and a digest keeps the keys of two paths apart.
    """
    path = posixpath.normpath(source)
    name = path.removeprefix("sources/")
    if name == path or not _PLAIN.fullmatch(name):
        digest = hashlib.sha256(path.encode()).hexdigest()[:8]
        stem, suffix = posixpath.splitext(_OTHERS.sub("_", name))
        name = f"{stem.strip('._') or 'file'}_{digest}{suffix}"
    return dg.AssetKey([domain, "sources", name])


def cases_key(narrative: Narrative) -> dg.AssetKey:
    """Return the key of a narrative's cases."""
    return dg.AssetKey([narrative.name, "cases"])


def precedents_key(narrative: Narrative) -> dg.AssetKey:
    """Return the key of a narrative's precedents."""
    return dg.AssetKey([narrative.name, "precedents"])


def records_key(narrative: Narrative, config: str) -> dg.AssetKey:
    """Return the key of the records of a config."""
    return dg.AssetKey([narrative.name, "records", config])


def release_key(narrative: Narrative) -> dg.AssetKey:
    """Return the key of a narrative's release."""
    return dg.AssetKey([narrative.name, "release"])
