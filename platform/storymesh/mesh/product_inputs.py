"""The products that a domain builds on: from another premise, all of a product comes with a receipt, or nothing."""

from storymesh.federation.request import ExtractRequest, RequestedColumn
from storymesh.mesh.mesh import Mesh
from storymesh.product.extracts import ExtractStore, take_extract
from storymesh.product.store import Snapshot


def snapshot_for_domain(mesh: Mesh, domain: str, snapshot: Snapshot) -> Snapshot:
    """Return a snapshot as a domain may have it: at another premise all of it, with a receipt, where all of it may
    leave. Raises EgressRefused where it may not."""
    residency, contract = mesh.residency, mesh.contract(snapshot.product)
    here = mesh.domains[domain].premise
    if not residency.concerns or residency.premise_of(contract.id) == here:
        return snapshot
    policy = residency.policy(contract)
    request = ExtractRequest(
        narrative=domain,
        role=contract.name,
        product=contract.id,
        contract=contract.digest,
        from_premise=policy.premise,
        to_premise=here,
        columns=tuple(RequestedColumn(name=name) for name in contract.properties),
    )
    return take_extract(snapshot, request, policy, ExtractStore(mesh.store), mesh.open_engine, b"")
