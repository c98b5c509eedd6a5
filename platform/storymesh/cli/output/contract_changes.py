"""Contracts of the mesh that are not those by which a release was made."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from storymesh.cli.output.console import echo

if TYPE_CHECKING:
    from storymesh.contract.definition import Contract
    from storymesh.release.catalog import Release


def show_contract_changes(release: "Release", current: "Mapping[str, Contract]") -> None:
    """Say on standard error which contracts differ from those that the release was made by."""
    from storymesh.release.definition_snapshot import contract_changes

    for words in contract_changes(release, current):
        echo(words, err=True)
