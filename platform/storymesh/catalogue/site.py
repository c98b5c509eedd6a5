"""The site as files: every page rendered, and written below one folder, of which only former pages are removed."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from storymesh import __version__
from storymesh.atomic_write import write_atomically
from storymesh.catalogue.audits import MAX_AUDITS, AuditHistory
from storymesh.catalogue.handbook import HandbookPage, read_handbook
from storymesh.catalogue.lineage import MAX_NODES, Lineage, by_domain, draw_lineage, mesh_lineage
from storymesh.catalogue.narratives import STORIES, NarrativeView, view_narrative
from storymesh.catalogue.products import ProductView, view_product
from storymesh.errors import WrongUsage
from storymesh.mesh.mesh import Mesh
from storymesh.product.store import ProductStore
from storymesh.release.catalog import Release, list_releases
from storymesh.release.description import PROMISES, describe_links
from storymesh.release.release_warnings import release_warnings
from storymesh.release.report.page import render_page
from storymesh.release.report.render import MAX_PAGE_BYTES
from storymesh.release.report.stories import shorten

TEMPLATES = Path(__file__).parent / "templates"
MORE = (TEMPLATES / "site.css", TEMPLATES / "site.js")
CONTENTS = "site.json"  # the paths of the pages
COLORS = 8
MAX_ENTRIES = 20_000
MAX_TEXT_LENGTH = 160  # characters
Entry = tuple[str, str, str, str]
"""An entry of the search: its kind, name, page (from the root of the site), and further words that find it."""


@dataclass(frozen=True)
class Site:
    """A site that was written: its folder, its first page, and the number of its pages."""

    folder: Path
    index: Path
    pages: int


def write_site(mesh: Mesh, folder: Path, audits_of: AuditHistory, *, title: str, public: bool) -> Site:
    """Write the site of a mesh to `folder`. Raises WrongUsage for a folder that holds something else.

    `public`: values that contracts do not call public are left out. The same mesh, store, releases and audits give the
    same bytes.
    """
    former = _former_pages(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Before the first page, so that what a killed one has begun is known as a site.
    write_atomically(folder / CONTENTS, _contents(former))
    pages: list[str] = []
    for href, page in _Renderer(mesh, audits_of, title, public=public).pages():
        path = folder / href
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, page)
        pages.append(href)
    for href in former - set(pages):
        (folder / href).unlink(missing_ok=True)
        with suppress(OSError):  # others have put something beside it
            (folder / href).parent.rmdir()
    write_atomically(folder / CONTENTS, _contents(pages))
    return Site(folder, folder / "index.html", len(pages))


def _contents(pages: Iterable[str]) -> str:
    return json.dumps(sorted(pages), indent=1) + "\n"


def _former_pages(folder: Path) -> set[str]:
    """Return the pages that a site in this folder already has. Raises WrongUsage where it is none."""
    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise WrongUsage(f"{folder} is no folder", "name one with --out DIR")
    try:
        listed = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if any(not entry.name.startswith(".") for entry in folder.iterdir()):
            words = f"{folder} is not empty, and no site of storymesh"
            raise WrongUsage(words, "name a new folder with --out DIR") from None
        return set()
    except (OSError, ValueError):
        listed = []
    return {href for href in listed if _is_page(href)} if isinstance(listed, list) else set()


def _is_page(href: Any) -> bool:
    if not isinstance(href, str) or not href.endswith(".html"):
        return False
    path = PurePosixPath(href)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in href


class _Renderer:
    """Renders the pages of one site, one after the other, so that only one of them is in memory."""

    def __init__(self, mesh: Mesh, audits_of: AuditHistory, title: str, *, public: bool) -> None:
        self.mesh, self.audits_of, self.title, self.public = mesh, audits_of, title, public
        self.colors = {domain: number % COLORS for number, domain in enumerate(mesh.domains)}
        self.product_colors = {product.id: self.colors[product.domain] for product in mesh.products.values()}
        self.releases: dict[str, list[Release]] = {id_: [] for id_ in mesh.narratives}
        for release in list_releases(mesh.releases):
            self.releases.setdefault(release.narrative, []).append(release)
        latest = {id_: releases[-1] for id_, releases in self.releases.items() if releases}
        self.lineage = mesh_lineage(mesh, self.colors, latest)
        self.handbook = read_handbook()

    def pages(self) -> Iterator[tuple[str, str]]:
        """Yield each page with its path from the root of the site."""
        verdicts: dict[str, ProductView] = {}
        with self.mesh.open_engine() as engine:
            for id_, product in self.mesh.products.items():
                contract = self.mesh.contract(id_)
                audits = self.audits_of(contract)[-MAX_AUDITS:]
                store = ProductStore(self.mesh.warehouse, product.domain)
                view = view_product(product, contract, self._owner(id_), audits, store, engine, public=self.public)
                yield self._product(view)
                verdicts[id_] = view
        listed: list[Release] = []
        for narrative in self.mesh.narratives.values():
            releases = self.releases[narrative.id]
            told = view_narrative(self.mesh, narrative, releases, self.product_colors, public=self.public)
            listed += told.releases
            yield self._limit_stories(told)
            for release in told.releases:
                yield self._release(told, release)
        for domain in self.mesh.domains:
            yield self._domain(domain, verdicts)
        for page in self.handbook:
            yield self._page(page.href, "handbook", page.title, page=page, handbook=self._sections())
        entries = search_entries(self.mesh, listed, self.handbook)
        yield self._page("search.html", "search", "Search", entries=entries)
        yield self._index(verdicts)

    def _owner(self, product: str) -> str:
        definition, contract = self.mesh.products[product], self.mesh.contract(product)
        return definition.owner or contract.owner or self.mesh.domains[definition.domain].owner

    def _sections(self) -> dict[str, list[HandbookPage]]:
        sections: dict[str, list[HandbookPage]] = {}
        for page in self.handbook:
            sections.setdefault(page.section, []).append(page)
        return sections

    def _page(self, href: str, template: str, title: str, **variables: Any) -> tuple[str, str]:
        return href, render_page(
            TEMPLATES / f"{template}.html.jinja",
            more=MORE,
            root="../" * href.count("/"),
            title=title,
            site=self.title,
            has_handbook=bool(self.handbook),
            public=self.public,
            storymesh=__version__,
            **variables,
        )

    def _product(self, view: ProductView) -> tuple[str, str]:
        product = view.product
        casting = [
            (narrative, [role for role, member in narrative.cast.items() if member.product == product.id])
            for narrative in self.mesh.narratives.values()
        ]
        return self._page(
            f"products/{product.id}.html",
            "product",
            product.id,
            view=view,
            domain=self.mesh.domains[product.domain],
            color=self.colors[product.domain],
            readers=[
                other for other in self.mesh.products.values()
                if any(port.contract_id == product.id for port in other.inputs)
            ],
            casting=[(narrative, roles) for narrative, roles in casting if roles],
            picture=draw_lineage(self.lineage.around(product.id)),
            known=self.mesh.products,
        )  # fmt: skip

    def _limit_stories(self, told: NarrativeView) -> tuple[str, str]:
        """Return the page of a narrative with as many stories of each config as a page can carry."""
        for most in range(STORIES, 1, -1):
            stories = {config: every[:most] for config, every in told.stories.items()}
            href, page = self._narrative(replace(told, stories=stories))
            if len(page.encode()) <= MAX_PAGE_BYTES:
                return href, page
        return self._narrative(replace(told, stories={config: every[:1] for config, every in told.stories.items()}))

    def _narrative(self, told: NarrativeView) -> tuple[str, str]:
        narrative = told.narrative
        return self._page(
            f"narratives/{narrative.id}.html",
            "narrative",
            narrative.title,
            told=told,
            narrative=narrative,
            formats={config: narrative.format_of(config).purpose for config in narrative.records},
            links=describe_links(narrative),
            colors={member.product: self.product_colors[member.product] for member in narrative.cast.values()},
            picture=draw_lineage(self.lineage.around(f"@{narrative.id}")),
        )

    def _release(self, told: NarrativeView, release: Release) -> tuple[str, str]:
        return self._page(
            f"releases/{release.narrative}/{release.version}.html",
            "release",
            release.name,
            release=release,
            manifest=release.manifest,
            narrative=told.narrative,
            known=self.mesh.products,
            promises=PROMISES,
            warnings=release_warnings(release.manifest),
            totals={config: sum(rows.values()) for config, rows in release.configs.items()},
            splits=[
                name
                for name in ("train", "validation", "test")
                if any(name in rows for rows in release.configs.values())
            ],
        )

    def _domain(self, domain: str, views: Mapping[str, ProductView]) -> tuple[str, str]:
        own = {product.id for product in self.mesh.products_of(domain)}
        nodes = set[str]().union(*(self.lineage.around(id_).nodes for id_ in own)) if own else set()
        kept = Lineage(
            {id_: node for id_, node in self.lineage.nodes.items() if id_ in nodes},
            tuple(arrow for arrow in self.lineage.arrows if set(arrow) <= nodes),
        )
        return self._page(
            f"domains/{domain}.html",
            "domain",
            self.mesh.domains[domain].title,
            domain=self.mesh.domains[domain],
            color=self.colors[domain],
            views=[views[id_] for id_ in self.mesh.products if id_ in own],
            picture=draw_lineage(kept),
        )

    def _index(self, views: Mapping[str, ProductView]) -> tuple[str, str]:
        lineage = self.lineage
        if len(lineage.nodes) > MAX_NODES:
            lineage = by_domain(lineage, self.mesh)
        latest = {
            id_: releases[-1] for id_, releases in self.releases.items() if releases and id_ in self.mesh.narratives
        }
        return self._page(
            "index.html",
            "index",
            self.title,
            mesh=self.mesh,
            colors=self.colors,
            views={domain: _views_of(views.values(), domain) for domain in self.mesh.domains},
            releases=self.releases,
            latest=latest,
            rows=sum(view.snapshot.rows for view in views.values() if view.snapshot is not None),
            records=sum(release.manifest.records for release in latest.values()),
            picture=draw_lineage(lineage),
        )


def _views_of(views: Iterable[ProductView], domain: str) -> list[ProductView]:
    return [view for view in views if view.product.domain == domain]


def search_entries(mesh: Mesh, releases: Iterable[Release], handbook: Iterable[HandbookPage]) -> list[Entry]:
    """Return the entries: of a mesh too large for one page, the last kinds are not all there."""
    every = (*_products(mesh), *_stories(mesh, releases), *_pages(handbook), *_properties(mesh))
    return [
        (kind, shorten(name), href, shorten(words, MAX_TEXT_LENGTH))
        for kind, name, href, words in islice(every, MAX_ENTRIES)
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
