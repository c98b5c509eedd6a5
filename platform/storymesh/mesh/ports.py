"""Resolution of ports and casts in this mesh: the contract of each product, and the products that others read."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from storymesh.contract.definition import Contract
from storymesh.contract.read import ContractFile
from storymesh.errors import Finding, suggest_name
from storymesh.narrative.definition import Narrative
from storymesh.product.definition import InputPort, OutputPort, Product


def contract_file_of(product: Product, files: Mapping[str, ContractFile]) -> ContractFile | None:
    """Return the file with a product's contract: that of its own id, or the one of several schema objects to which its
    own output port leads. None where there is none."""
    if (own := files.get(product.id)) is not None:
        return own
    ids = (port.contract_id for port in product.outputs if port.name == product.name)
    found = (files[id_] for id_ in ids if id_ in files and files[id_].has_object(product.id))
    return next(found, None)


def with_resolved_inputs(
    product: Product, products: Mapping[str, Product], files: Mapping[str, ContractFile]
) -> Product:
    """Return a product whose input ports name products. What nobody in the mesh publishes is in `outside`."""
    inside: list[InputPort] = []
    outside: list[InputPort] = []
    for port in product.inputs:
        id_ = _product_of(port, products, files)
        (outside if id_ is None else inside).append(replace(port, contract_id=id_ or port.contract_id))
    return replace(product, inputs=tuple(inside), outside=tuple(outside))


def _product_of(port: InputPort, products: Mapping[str, Product], files: Mapping[str, ContractFile]) -> str | None:
    """Return the product that an input port means. Of a contract with several schema objects it is the port's name
    that says which."""
    named = f"{port.contract_id.partition('.')[0]}.{port.name}"
    file = files.get(port.contract_id)
    if file is not None and file.has_object(named) and named in products:
        return named
    return port.contract_id if port.contract_id in products else None


def with_resolved_cast(narrative: Narrative, contracts: Mapping[str, Contract]) -> Narrative:
    """Return a narrative whose roles name the products that keep the contracts that they want: where a product has
    gone on to another major version, the one that keeps theirs beside it."""
    kept = {
        role: member.kept_as
        for role, member in narrative.cast.items()
        if not _has_major(contracts.get(member.product), member.major)
        and _has_major(contracts.get(member.kept_as), member.major)
    }
    return narrative.with_products(kept) if kept else narrative


def _has_major(contract: Contract | None, major: int) -> bool:
    return contract is not None and contract.major == major


class _Written(NamedTuple):
    port: InputPort | OutputPort
    kind: str
    contract: Contract


def port_findings(
    product: Product,
    products: Mapping[str, Product],
    contracts: Mapping[str, Contract],
    files: Mapping[str, ContractFile],
) -> Iterator[Finding]:
    """Yield what is wrong with the ports of a product, or looks so."""
    for output in product.outputs:
        target = output.contract_id
        if target == product.id:
            continue
        if target in contracts or target in files:
            if output.name == product.name and product.id in files:
                message = f"the output port '{output.name}' names the contract '{target}', its rows keep '{product.id}'"
                yield Finding(output.location, "wrong-contract", message, f"name '{product.id}'")
            continue
        message = f"the output port '{output.name}' names the contract '{target}', which does not exist"
        if output.name == product.name:
            yield Finding(output.location, "unknown-name", message, suggest_name(target, contracts))
        else:
            hint = f"only the port '{product.name}' is: the others are for people"
            yield Finding(output.location, "not-published", f"{message}: nothing is published there", hint, "warning")
    for port in product.outside:
        near = suggest_name(port.contract_id, products)
        if near.startswith("did you mean"):
            message = f"nobody here publishes '{port.contract_id}': the input port '{port.name}' means a system outside"
            yield Finding(port.location, "unknown-name", message, near, "warning")
    written = [
        _Written(port, "input", contracts[port.contract_id]) for port in product.inputs if port.contract_id in contracts
    ]
    own = contracts.get(product.id)
    if own is not None and product.lists_outputs:
        ours = (port for port in product.outputs if port.name == product.name)
        written += [_Written(port, "output", own) for port in ours]
    for named, kind, contract in written:
        version = named.version.removeprefix("v")
        if version != contract.version.removeprefix("v"):
            message = (
                f"the {kind} port '{named.name}' is of version {named.version}, its contract of {contract.version}"
            )
            kept = f"{named.contract_id}_v{version.partition('.')[0]}"
            hint = f"follow the contract, or name '{kept}'" if kept in contracts else "follow the contract"
            yield Finding(named.location, "wrong-version", message, hint, "warning")
