"""storymesh: a data mesh for training data, from contracts to cases to stories to releases."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from storymesh.lifecycle.pull import LoadedDataset

__all__ = ["__version__", "load"]  # what programs may use; docs/reference/python.md is made from it

__version__ = "0.1.0"

# Nothing phones home unless somebody asks for it. The libraries read this when they are imported, which is later.
for _name, _value in {
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}.items():
    os.environ.setdefault(_name, _value)
# Arrow's allocator gives freed memory back after 10 ms, and a pass over rows soon wants the same again: to get it from
# the system anew takes up to a sixth of the time of such a pass. Milliseconds, read when pyarrow is imported.
os.environ.setdefault("MIMALLOC_PURGE_DELAY", "1000")


def load(
    narrative: str,
    version: str | None = None,
    *,
    config: str | None = None,
    split: str | None = None,
    streaming: bool = False,
    mesh: str | Path | None = None,
    digest: str | None = None,
    signers: Sequence[str] = (),
    **options: Any,
) -> "LoadedDataset":
    """Return a release as `datasets.load_dataset` does, by the name of its narrative: `load("canal-exceptions",
    "1.0.0-r3", config="advice")`. Without `version` it is the latest; name one where results should be repeated.

    `narrative` may be the folder of a release too, wherever it stands. `config` may be left out where there is one
    alone; without `split` all of them are loaded. `mesh` is the mesh root, by default the one at or above the current
    folder. With `digest`, what `sha256sum release.json` gave its maker, or `signers`, public keys of which one has to
    have signed it, the release is verified first, and is the one that they made; without `signers` those of `mesh.yaml`
    count. Other options go to `load_dataset` as they are. Raise `storymesh.errors.WrongUsage` for a narrative, a
    version, a config or a split that does not exist, `storymesh.errors.StorymeshError` for a release that is not whole.
    """
    from storymesh.engine.open import open_engine
    from storymesh.lifecycle.pull import load_config
    from storymesh.lifecycle.verify import verify_release
    from storymesh.mesh.lookup import expectation, named_release
    from storymesh.release.signature import NOTHING_EXPECTED

    release = named_release(f"{narrative}@{version}" if version else narrative, mesh)
    if (expected := expectation(mesh, digest, signers)) != NOTHING_EXPECTED:
        verify_release(release.path, open_engine, expected).require_whole()
    return load_config(release, config, split, streaming=streaming, **options)
