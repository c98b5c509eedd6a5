"""Lineage as a picture: what products are built on, the narratives that cast them, and their releases, left to right.

The layout is that of layered graphs (Sugiyama): each node stands in the column after its last source, and the rows of
a column are ordered by where their neighbours stand, so that few lines cross.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from storymesh.mesh.mesh import Mesh
from storymesh.release.catalog import Release

WIDTH, HEIGHT = 176, 42  # of a node, in the units of the picture
GAP_X, GAP_Y = 64, 14
MARGIN = 8
SWEEPS = 6
MAX_LABEL_LENGTH = 24
MAX_NODES = 60  # of a picture; of a larger mesh domains stand for their products

Kind = Literal["outside", "product", "domain", "narrative", "release"]


@dataclass(frozen=True)
class LineageNode:
    """A node: `href` is the page of what it shows, from the root of the site, "" for none; `color` its domain's."""

    id: str
    kind: Kind
    label: str
    note: str
    href: str
    color: int


@dataclass(frozen=True)
class Lineage:
    """Nodes by id, and the arrows between them from what is read to what reads it."""

    nodes: Mapping[str, LineageNode]
    arrows: tuple[tuple[str, str], ...]

    def around(self, id_: str) -> "Lineage":
        """Return what the node is made from and what is made from it, over any number of steps."""
        kept = self._reachable(id_, 0) | self._reachable(id_, 1)
        return self._of(kept)

    def _reachable(self, id_: str, side: int) -> set[str]:
        following: dict[str, list[str]] = defaultdict(list)
        for arrow in self.arrows:
            following[arrow[1 - side]].append(arrow[side])
        found, waiting = {id_}, [id_]
        while waiting:
            new = [node for node in following[waiting.pop()] if node not in found]
            found.update(new)
            waiting += new
        return found

    def _of(self, kept: Collection[str]) -> "Lineage":
        nodes = {id_: node for id_, node in self.nodes.items() if id_ in kept}
        return Lineage(nodes, tuple(arrow for arrow in self.arrows if arrow[0] in kept and arrow[1] in kept))


@dataclass(frozen=True)
class PlacedNode:
    """A node with its left upper corner, and its label as it fits."""

    node: LineageNode
    x: float
    y: float
    label: str
    note: str


@dataclass(frozen=True)
class LineagePicture:
    """A drawing: nodes, the curves between them as paths of SVG, and its size."""

    nodes: tuple[PlacedNode, ...]
    curves: tuple[str, ...]
    width: float
    height: float


def mesh_lineage(mesh: Mesh, colors: Mapping[str, int], releases: Mapping[str, Release]) -> Lineage:
    """Return the lineage of a whole mesh; `releases` are the latest of each narrative, `colors` those of domains."""
    nodes: dict[str, LineageNode] = {}
    arrows: dict[tuple[str, str], None] = {}

    def add(node: LineageNode) -> str:
        nodes.setdefault(node.id, node)
        return node.id

    for id_, product in mesh.products.items():
        here = add(
            LineageNode(id_, "product", product.name, product.domain, f"products/{id_}.html", colors[product.domain])
        )
        for port in product.outside:
            arrows[add(LineageNode(f"<{port.contract_id}>", "outside", port.name, port.contract_id, "", 0)), here] = (
                None
            )
    for product in mesh.products.values():
        arrows |= {(port.contract_id, product.id): None for port in product.inputs}
    for narrative in mesh.narratives.values():
        href = f"narratives/{narrative.id}.html"
        here = add(LineageNode(f"@{narrative.id}", "narrative", narrative.id, "narrative", href, 0))
        arrows |= {(member.product, here): None for member in narrative.cast.values()}
        if (release := releases.get(narrative.id)) is not None:
            href = f"releases/{narrative.id}/{release.version}.html"
            note = f"{release.manifest.records:,} records"
            node = LineageNode(f"@{narrative.id}@{release.version}", "release", release.version, note, href, 0)
            arrows[here, add(node)] = None
    return Lineage(nodes, tuple(arrows))


def by_domain(lineage: Lineage, mesh: Mesh) -> Lineage:
    """Return the lineage with each domain's products as one node."""
    nodes: dict[str, LineageNode] = {}
    places: dict[str, str] = {}
    for id_, node in lineage.nodes.items():
        if node.kind == "outside":
            continue
        if node.kind == "product":
            domain, count = node.note, len(mesh.products_of(node.note))
            note = f"{count} product{'' if count == 1 else 's'}"
            node = LineageNode(f"domain {domain}", "domain", domain, note, f"domains/{domain}.html", node.color)
        places[id_] = node.id
        nodes[node.id] = node
    moved = ((places.get(begin), places.get(end)) for begin, end in lineage.arrows)
    arrows = dict.fromkeys((begin, end) for begin, end in moved if begin and end and begin != end)
    return Lineage(nodes, tuple(arrows))


def draw_lineage(lineage: Lineage) -> LineagePicture | None:
    """Return the picture; None for a single node, or for more than a page can show."""
    if not 1 < len(lineage.nodes) <= MAX_NODES:
        return None
    columns = _order_columns(_columns(lineage), lineage.arrows)
    tallest = max(map(len, columns))
    height = tallest * (HEIGHT + GAP_Y) - GAP_Y
    corners: dict[str, tuple[float, float]] = {}
    for index, column in enumerate(columns):
        top = (height - (len(column) * (HEIGHT + GAP_Y) - GAP_Y)) / 2
        for place, id_ in enumerate(column):
            corners[id_] = MARGIN + index * (WIDTH + GAP_X), MARGIN + top + place * (HEIGHT + GAP_Y)
    placed = [
        PlacedNode(
            lineage.nodes[id_],
            x,
            y,
            _truncate(lineage.nodes[id_].label),
            _truncate(lineage.nodes[id_].note, 30),
        )
        for id_, (x, y) in corners.items()
    ]
    curves = [_curve(corners[begin], corners[end]) for begin, end in lineage.arrows]
    width = len(columns) * (WIDTH + GAP_X) - GAP_X + 2 * MARGIN
    return LineagePicture(tuple(placed), tuple(curves), width, height + 2 * MARGIN)


def _columns(lineage: Lineage) -> list[list[str]]:
    """Return the nodes by the length of the longest way to them. A mesh has no circles: `check` refuses them; were one
    there all the same, its last node would stand where the steps end."""
    depth = dict.fromkeys(lineage.nodes, 0)
    for _ in lineage.nodes:
        longer = {end: depth[begin] + 1 for begin, end in lineage.arrows if depth[end] <= depth[begin]}
        if not longer:
            break
        depth |= longer
    # A node without sources stands just before the first that reads it, not at the far left.
    reads = defaultdict(list)
    for begin, end in lineage.arrows:
        reads[begin].append(depth[end])
    fed = {end for _, end in lineage.arrows}
    depth |= {id_: min(reads[id_]) - 1 for id_ in lineage.nodes if id_ not in fed and reads[id_]}
    kept = {level: place for place, level in enumerate(sorted(set(depth.values())))}
    columns: list[list[str]] = [[] for _ in kept]
    for id_ in lineage.nodes:
        columns[kept[depth[id_]]].append(id_)
    return columns


def _order_columns(columns: list[list[str]], arrows: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return the columns with their nodes by the mean place of their neighbours, swept to and fro."""
    beside: dict[str, list[str]] = defaultdict(list)
    for begin, end in arrows:
        beside[begin].append(end)
        beside[end].append(begin)
    for sweep in range(SWEEPS):
        place = {id_: row - len(column) / 2 for column in columns for row, id_ in enumerate(column)}
        for column in columns if sweep % 2 == 0 else reversed(columns):
            means = {
                id_: sum(place[other] for other in beside[id_]) / len(beside[id_]) if beside[id_] else place[id_]
                for id_ in column
            }
            column.sort(key=lambda id_: (means[id_], id_))
            place |= {id_: row - len(column) / 2 for row, id_ in enumerate(column)}
    return columns


def _curve(begin: tuple[float, float], end: tuple[float, float]) -> str:
    x, y, to_x, to_y = begin[0] + WIDTH, begin[1] + HEIGHT / 2, end[0], end[1] + HEIGHT / 2
    bend = max((to_x - x) / 2, GAP_X / 2)
    return f"M{x:g} {y:g}C{x + bend:g} {y:g} {to_x - bend:g} {to_y:g} {to_x:g} {to_y:g}"


def _truncate(label: str, most: int = MAX_LABEL_LENGTH) -> str:
    line = " ".join(label.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
