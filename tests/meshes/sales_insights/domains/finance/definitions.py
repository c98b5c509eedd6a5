"""The code location of Dagster for this folder."""

from storymesh.orchestration import definitions

defs = definitions(__file__)
