"""Lets the tests of this folder import what they share (`release_builds`); pytest's import mode does not."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
