"""The compatibility of contracts for people: findings, then each contract with its changes and its readers."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from storymesh.cli.output.console import count_of

if TYPE_CHECKING:
    from storymesh.compatibility.compare import AffectedReader, Compatibility, ContractComparison
    from storymesh.contract.change import ContractChange

_OF_READERS = {"major": "breaks readers", "minor": "breaks no reader", "patch": "no row differs"}


def compat_lines(found: "Compatibility") -> Iterator[str]:
    """Yield the lines of a comparison."""
    for finding in found.findings:
        yield str(finding)
    for contract in found.contracts:
        yield ""
        yield from _contract_lines(contract)
    if found.added:
        yield ""
        yield f"new: {', '.join(found.added)}"
    for note in found.notes:
        yield f"note: {note}"


def _contract_lines(contract: "ContractComparison") -> Iterator[str]:
    wants = f", asks for {contract.wanted}" if contract.wanted and contract.changes else ""
    kept = f"; version {contract.old_version} is kept as {contract.kept_as}" if contract.kept_as else ""
    yield f"{contract.product} {contract.old_version} -> {contract.new_version or 'gone'}{wants}{kept}"
    for change in contract.changes:
        yield f"  {change.step:<6} {change.words} ({_effect(change)})"
    refused = contract.refused
    if refused is not None and refused.refused:
        yield f"  {refused.refused:,} of the {count_of(refused.rows, 'published row')} would be refused now"
    for reader in contract.readers:
        yield from _reader_lines(reader)
    if contract.changes and not contract.readers and not contract.kept_as:
        yield "  nobody in this mesh reads what changed"


def _effect(change: "ContractChange") -> str:
    refuses = "; may refuse rows of publishers" if change.refuses else ""
    return f"{_OF_READERS[change.step]}{refuses}"


def _reader_lines(reader: "AffectedReader") -> Iterator[str]:
    if reader.kind == "product":
        yield f"  read by the product {reader.name}, through its input port"
        return
    if not reader.configs:
        yield f"  read by {reader.name}"
    for effect in reader.configs:
        what = "the rows themselves" if effect.properties == ("*",) else ", ".join(effect.properties)
        line = f"  {reader.name}: {effect.config} reads {what}"
        if effect.stories is None:
            yield f"{line}; nothing is released yet"
        elif not effect.stories:
            yield f"{line}; none of the {effect.released:,} stories of {reader.release} changes by it"
        else:
            shown = ", ".join(effect.examples)
            yield (
                f"{line}; {effect.stories:,} of the {effect.released:,} stories of {reader.release} "
                f"{'changes' if effect.stories == 1 else 'change'}, for example {shown}"
            )
