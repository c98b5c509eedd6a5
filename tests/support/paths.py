"""Where the checkout's folders are, and what a Python process of its own needs to import from them."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
MESHES = TESTS / "meshes"
SHARED = ROOT.parent / "shared"  # public data, never committed


def importable(**variables: str) -> dict[str, str]:
    """Return this process's environment with `variables`, in which `storymesh` and `tests` of this checkout import."""
    paths = [str(ROOT / "platform"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **variables}
