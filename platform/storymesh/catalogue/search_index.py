"""The entries of the catalogue's search, which runs in the reader's browser over a list inside the page."""

from collections.abc import Iterable, Iterator
from itertools import islice

from storymesh.catalogue.handbook import HandbookPage
from storymesh.mesh.mesh import Mesh
from storymesh.release.catalog import Release
from storymesh.release.report.stories import shorten

MOST_ENTRIES = 20_000
LONGEST_TEXT = 160  # characters

Entry = tuple[str, str, str, str]
"""An entry of the search: its kind, name, page (from the root of the site), and further words that find it."""


def search_entries(mesh: Mesh, releases: Iterable[Release], handbook: Iterable[HandbookPage]) -> list[Entry]:
    """Return the entries: of a mesh too large for one page, the last kinds are not all there."""
    every = (*_products(mesh), *_stories(mesh, releases), *_pages(handbook), *_properties(mesh))
    return [
        (kind, shorten(name), href, shorten(words, LONGEST_TEXT))
        for kind, name, href, words in islice(every, MOST_ENTRIES)
    ]


def _products(mesh: Mesh) -> Iterator[Entry]:
    for id_, domain in mesh.domains.items():
        yield "domain", domain.title, f"domains/{id_}.html", f"{id_} {domain.owner} {domain.description}"
    for id_, product in mesh.products.items():
        words = f"{product.title} {product.description} {' '.join(product.tags)} {product.owner or ''}"
        yield "product", id_, f"products/{id_}.html", words


def _stories(mesh: Mesh, releases: Iterable[Release]) -> Iterator[Entry]:
    for narrative in mesh.narratives.values():
        words = f"{narrative.id} {narrative.description} {narrative.owner} {' '.join(narrative.records)}"
        yield "narrative", narrative.title, f"narratives/{narrative.id}.html", words
    for release in releases:
        href = f"releases/{release.narrative}/{release.version}.html"
        yield "release", release.name, href, f"{release.digest} {' '.join(release.configs)}"


def _pages(handbook: Iterable[HandbookPage]) -> Iterator[Entry]:
    for page in handbook:
        yield "guide", page.title, page.href, ""
        yield from (("guide", heading, f"{page.href}#{anchor}", page.title) for anchor, heading in page.headings)


def _properties(mesh: Mesh) -> Iterator[Entry]:
    for id_, contract in mesh.contracts.items():
        for item in contract.properties.values():
            words = f"{id_} {item.title} {item.description}"
            yield "property", f"{id_}.{item.name}", f"products/{id_}.html#property-{item.name}", words
