"""Lets the tests of this folder import what they share (`canal_mesh`, `generated`, `expressions`)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
