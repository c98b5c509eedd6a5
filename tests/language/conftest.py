"""Lets the tests of this folder import what they share (`canal_mesh`, `generated`), and says how long hypothesis looks."""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

LEAN = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
DEEP = settings(LEAN, max_examples=5000)


def examples() -> settings:
    """`HYPOTHESIS_PROFILE=deep` looks at thousands of examples, otherwise at as many as a quick run has time for."""
    return DEEP if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else LEAN
