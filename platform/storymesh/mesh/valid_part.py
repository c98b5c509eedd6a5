"""The valid part of a mesh: without the domains and narratives whose files have errors, and without what is built on
them. So one team's mistake stops that team and its readers, and nobody else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from storymesh.errors import Finding
from storymesh.mesh.mesh import Mesh


@dataclass(frozen=True)
class ValidPart:
    """The part of a mesh that has no errors. `left_out` are the domains and the ids of the narratives that are not in
    `mesh`."""

    mesh: Mesh
    left_out: frozenset[str]


def valid_part(mesh: Mesh, findings: Iterable[Finding]) -> ValidPart:
    """Return the part of a mesh that no error in its files affects: all of it if there is none.

    An error outside the files of a domain or a narrative, as in the settings, concerns everything.
    """
    owners = {_owner(finding.location.path) for finding in findings if finding.severity == "error"}
    if not owners:
        return ValidPart(mesh, frozenset())
    if None in owners:
        left_out = frozenset({*mesh.domains, *mesh.narratives})
        return ValidPart(_without(mesh, mesh.domains, mesh.narratives), left_out)
    domains = {name for kind, name in filter(None, owners) if kind == "domain"}
    own = {name.replace("_", "-") for kind, name in filter(None, owners) if kind == "narrative"}
    waiting = list(domains)
    readers = _readers(mesh)
    while waiting:
        new = readers.get(waiting.pop(), set()) - domains
        domains |= new
        waiting += new
    narratives = own | {
        narrative.id
        for narrative in mesh.narratives.values()
        if any(
            member.product not in mesh.products or member.product.partition(".")[0] in domains
            for member in narrative.cast.values()
        )
    }
    return ValidPart(_without(mesh, domains, narratives), frozenset({*domains, *narratives}))


def _owner(path: str) -> tuple[str, str] | None:
    """Return whose a file is: a domain's or a narrative's; None: everybody's."""
    match path.split("/"):
        case ["domains" | "contracts", domain, *_]:
            return "domain", domain
        case ["narratives", narrative, _, *_]:
            return "narrative", narrative
        case _:
            return None


def _readers(mesh: Mesh) -> Mapping[str, set[str]]:
    """Return for each domain the domains whose products have one of its products at an input port."""
    readers: dict[str, set[str]] = {}
    for product in mesh.products.values():
        for port in (*product.inputs, *product.outside):
            readers.setdefault(port.contract_id.partition(".")[0], set()).add(product.domain)
    return readers


def _without(mesh: Mesh, domains: Iterable[str], narratives: Iterable[str]) -> Mesh:
    gone, untold = set(domains), set(narratives)
    return replace(
        mesh,
        domains={name: item for name, item in mesh.domains.items() if name not in gone},
        contracts={id_: item for id_, item in mesh.contracts.items() if item.domain not in gone},
        products={id_: item for id_, item in mesh.products.items() if item.domain not in gone},
        narratives={id_: item for id_, item in mesh.narratives.items() if id_ not in untold},
    )
