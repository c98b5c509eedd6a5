"""Which asset key stands for what. Keys are the only thing that code locations share, so they are made in one place."""

import hashlib
import posixpath
import re

import dagster as dg

from storymesh.narrative.definition import Narrative

MODELS = "models"
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_OTHERS = re.compile(r"[^A-Za-z0-9_.-]+")


def product_key(product: str) -> dg.AssetKey:
    """`<domain>.<product>` as the key [domain, product]."""
    domain, name = product.split(".", 1)
    return dg.AssetKey([domain, name])


def model_key(domain: str, model: str) -> dg.AssetKey:
    return dg.AssetKey([domain, MODELS, model])


def source_key(domain: str, source: str) -> dg.AssetKey:
    """The raw file `source` (relative to the domain's folder), which no asset here makes.

    A file of the folder sources/ has its own name. Dagster wants letters, digits, `_`, `.` and `-`: any other path has
    what is left of it, and a digest by which no two paths share a key.
    """
    path = posixpath.normpath(source)
    name = path.removeprefix("sources/")
    if name == path or not _PLAIN.fullmatch(name):
        digest = hashlib.sha256(path.encode()).hexdigest()[:8]
        stem, suffix = posixpath.splitext(_OTHERS.sub("_", name))
        name = f"{stem.strip('._') or 'file'}_{digest}{suffix}"
    return dg.AssetKey([domain, "sources", name])


def cases_key(narrative: Narrative) -> dg.AssetKey:
    return dg.AssetKey([narrative.name, "cases"])


def precedents_key(narrative: Narrative) -> dg.AssetKey:
    return dg.AssetKey([narrative.name, "precedents"])


def records_key(narrative: Narrative, config: str) -> dg.AssetKey:
    return dg.AssetKey([narrative.name, "records", config])


def release_key(narrative: Narrative) -> dg.AssetKey:
    return dg.AssetKey([narrative.name, "release"])
