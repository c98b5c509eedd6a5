"""The picture of lineage: arrows lead to the right, nodes do not lie on each other, and nothing is left out."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from storymesh.catalogue.lineage import HEIGHT, MAX_NODES, WIDTH, Lineage, LineageNode, draw_lineage


def lineage(size: int, arrows: set[tuple[int, int]]) -> Lineage:
    """A lineage of `size` nodes; an arrow leads from the smaller number to the larger."""
    nodes = {f"n{n}": LineageNode(f"n{n}", "product", f"name {n}", "", "", 0) for n in range(size)}
    ordered = dict.fromkeys((f"n{min(pair)}", f"n{max(pair)}") for pair in sorted(arrows) if pair[0] != pair[1])
    return Lineage(nodes, tuple(ordered))


@given(st.integers(2, 20).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_arrows_lead_to_the_right_and_nodes_stand_apart(drawn: tuple[int, set[tuple[int, int]]]) -> None:
    found = lineage(*drawn)
    picture = draw_lineage(found)
    assert picture is not None
    at = {place.node.id: place for place in picture.nodes}
    assert at.keys() == found.nodes.keys()
    assert len(picture.curves) == len(found.arrows)
    for begin, end in found.arrows:
        assert at[begin].x + WIDTH < at[end].x
    for one, other in combinations(picture.nodes, 2):
        assert abs(one.x - other.x) >= WIDTH or abs(one.y - other.y) >= HEIGHT
    for place in picture.nodes:
        assert 0 <= place.x <= picture.width - WIDTH
        assert 0 <= place.y <= picture.height - HEIGHT


def test_lines_that_need_not_cross_do_not() -> None:
    """Of this lineage either way of going through the columns alone would leave a crossing."""
    arrows = {(0, 5), (1, 6), (2, 3), (2, 4), (2, 6), (3, 10), (4, 9), (5, 7), (5, 8), (5, 10), (6, 9)}
    found = lineage(11, arrows)
    picture = draw_lineage(found)
    assert picture is not None
    at = {place.node.id: place for place in picture.nodes}
    crossing = [
        (one, other)
        for one, other in combinations(found.arrows, 2)
        if at[one[0]].x == at[other[0]].x and (at[one[0]].y - at[other[0]].y) * (at[one[1]].y - at[other[1]].y) < 0
    ]
    assert crossing == []


def test_what_is_around_a_node_is_what_it_reaches_in_one_direction() -> None:
    found = lineage(5, {(0, 1), (1, 3), (2, 3), (2, 4)}).around("n1")
    assert set(found.nodes) == {"n0", "n1", "n3"}, "not what else its reader reads"


def test_no_picture_of_one_node_or_of_too_many() -> None:
    assert draw_lineage(lineage(1, set())) is None
    assert draw_lineage(lineage(MAX_NODES + 1, set())) is None
    assert draw_lineage(lineage(MAX_NODES, set())) is not None
