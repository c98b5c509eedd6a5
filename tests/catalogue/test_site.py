"""The catalogue: what it says is what is there, nothing breaks out of a page, nothing of a reader's is lost."""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from storymesh.catalogue.audits import Audit, AuditedCheck
from storymesh.catalogue.handbook import read_handbook
from storymesh.catalogue.site import write_site
from storymesh.contract.checks import checks_of
from storymesh.contract.definition import Contract
from storymesh.errors import WrongUsage
from storymesh.mesh.mesh import load_mesh
from storymesh.orchestration.audit_history import open_audit_history
from tests.support.harbour import write_boats
from tests.support.paths import ROOT
from tests.support.release_meshes import publish_all

HOSTILE = '<script>alert(1)</script>{{ 7*7 }}</style></svg>" onload="alert(2)" \'x\' \u202e</title><!-- &amp; ]]>'


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def ids(self) -> set[str | None]:
        return {attributes.get("id") for _, attributes in self.tags}

    @property
    def links(self) -> list[str]:
        return [href for tag, attributes in self.tags if tag == "a" and (href := attributes.get("href"))]


def nothing(contract: Contract) -> Sequence[Audit]:
    return ()


def built(root: Path, folder: Path, *, public: bool = False, title: str = "Harbour") -> dict[str, Page]:
    """Return the pages of the site of the mesh at `root`, by path."""
    mesh = load_mesh(root)
    with open_audit_history(mesh) as audits_of:
        site = write_site(mesh, folder, audits_of, title=title, public=public)
    paths = sorted(folder.rglob("*.html"))
    assert len(paths) == site.pages
    return {path.relative_to(folder).as_posix(): Page(path.read_text(encoding="utf-8")) for path in paths}


def test_it_shows_what_is_there_and_every_link_leads_somewhere(released_harbour: Path, tmp_path: Path) -> None:
    pages, again = (built(released_harbour, tmp_path / name) for name in ("site", "again"))
    for path in [*pages, "site.json"]:
        one, other = (tmp_path / name / path for name in ("site", "again"))
        assert one.read_bytes() == other.read_bytes(), "the same mesh gives the same bytes"
    assert again.keys() == pages.keys()
    boats = pages["products/fleet.boats.html"].text
    for words in ("boat-3", "Fleet", "all checks passed", "6 rows published at last", "late-repairs", "as boat"):
        assert words in " ".join(boats.split()), words
    assert "Skipper" not in boats, "restricted"
    assert "(restricted)" in boats
    story = pages["narratives/late-repairs.html"]
    assert any("v" in (attributes.get("class") or "").split() for tag, attributes in story.tags if tag == "a"), "traced"
    assert "1.0.0-r1" in pages["releases/late-repairs/1.0.0-r1.html"].text
    for path, page in pages.items():
        for href in page.links:
            parts = urlsplit(href)
            if parts.scheme:
                assert path.startswith("docs/"), href
                continue
            target = (tmp_path / "site" / path).parent / unquote(parts.path) if parts.path else tmp_path / "site" / path
            name = target.resolve().relative_to((tmp_path / "site").resolve()).as_posix()
            assert name in pages, f"{path} leads to {href}"
            assert not parts.fragment or unquote(parts.fragment) in pages[name].ids, f"{path} leads to {href}"


def test_no_text_of_somebody_else_breaks_out_of_a_page(released_harbour: Path, tmp_path: Path) -> None:
    quoted = json.dumps(HOSTILE)
    edits = {
        "domains/fleet/domain.yaml": [("title: .*", f"title: {quoted}\ndescription: {quoted}")],
        "domains/fleet/products/boats.odps.yaml": [("name: .*", f"name: {quoted}"), ("tags: .*", f"tags: [{quoted}]")],
        "contracts/fleet/boats.odcs.yaml": [
            ("description: .*", f"description: {{purpose: {quoted}, limitations: {quoted}}}"),
            (" +description: The boat's name.}", f"         description: {quoted}}}"),
        ],
        "narratives/late_repairs/narrative.yaml": [("title: .*", f"title: {quoted}\ndescription: {quoted}")],
    }
    for path, changes in edits.items():
        text = (released_harbour / path).read_text(encoding="utf-8")
        for old, new in changes:
            text, count = re.subn(f"^{old}$", new.replace("\\", r"\\"), text, count=1, flags=re.MULTILINE)
            assert count == 1, (path, old)
        (released_harbour / path).write_text(text, encoding="utf-8")
    quoted_csv = '"' + HOSTILE.replace('"', '""') + '"'
    boats = [f"boat-{number},tug,{10 + number},Skipper" for number in range(10)]
    write_boats(released_harbour, [f"{quoted_csv},ferry,12,Skipper", *boats, f"boat-x,{quoted_csv},3,Skipper"])
    publish_all(load_mesh(released_harbour), "fleet.boats")
    contract = load_mesh(released_harbour).contract("fleet.boats")
    moment = datetime(2024, 1, 1)
    audits = [
        Audit(
            "r",
            moment,
            None,
            None,
            {place: AuditedCheck(False, "error", 3) for place in range(len(checks_of(contract)))},
        )
    ]
    write_site(load_mesh(released_harbour), tmp_path / "site", lambda _: audits, title=HOSTILE, public=False)
    seen = 0
    for path in (tmp_path / "site").rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        page = Page(text)
        scripts = [attributes for tag, attributes in page.tags if tag == "script"]
        assert scripts in ([{}], [{"type": "application/json", "id": "entries"}, {}]), path
        assert not [(tag, name) for tag, attributes in page.tags for name in attributes if name.startswith("on")], path
        assert not [
            tag
            for tag, _ in page.tags
            if tag in ("iframe", "object", "embed", "form", "base", "img") and "docs" not in path.parts
        ]
        seen += "<script>alert(1)" in page.text
    assert seen >= 5, "it is shown, as text"
    boat = " ".join(Page((tmp_path / "site/products/fleet.boats.html").read_text(encoding="utf-8")).text.split())
    assert "1 row was refused" in boat
    assert boat.count("<script>alert(1)</script>") >= 6, "a row, a refused value, a title, …"
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', (tmp_path / "site/index.html").read_text())
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_a_public_site_has_no_value_that_is_not_public(released_harbour: Path, tmp_path: Path) -> None:
    path = released_harbour / "contracts/fleet/boats.odcs.yaml"
    text = path.read_text(encoding="utf-8")
    text = text.replace("classification: restricted", "classification: internal")
    hidden = re.sub(r"(name: kind\b[^}\n]*)classification: public", r"\1classification: internal", text)
    assert hidden != text
    path.write_text(hidden, encoding="utf-8")
    own, public = (built(released_harbour, tmp_path / str(flag), public=flag) for flag in (False, True))
    boats, narrative = "products/fleet.boats.html", "narratives/late-repairs.html"
    assert "Skipper 3" in own[boats].text
    assert "Not for a public place" in own[narrative].text
    assert not [path for path, page in public.items() if "Skipper" in page.text]
    assert "(internal)" in public[boats].text
    assert "boat-3" in public[boats].text
    assert "They print values that are not public" in public[narrative].text


def test_a_mesh_that_never_ran_has_a_site_too(harbour: Path, tmp_path: Path) -> None:
    pages = built(harbour, tmp_path / "site")
    assert "not published yet" in pages["products/fleet.boats.html"].text
    assert "There is no release yet" in " ".join(pages["narratives/late-repairs.html"].text.split())


def test_pages_that_are_no_more_go_and_what_is_not_ours_stays(harbour: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    write_site(load_mesh(harbour), folder, nothing, title="one", public=False)
    (folder / "CNAME").write_text("mesh.example.com", encoding="utf-8")
    (folder / "products/gone.html").write_text("", encoding="utf-8")
    contents = json.loads((folder / "site.json").read_text(encoding="utf-8"))
    outside = tmp_path / "other.html"
    outside.write_text("", encoding="utf-8")
    hostile = [*contents, "products/gone.html", "../other.html", str(outside), "CNAME", 7]
    (folder / "site.json").write_text(json.dumps(hostile), encoding="utf-8")
    write_site(load_mesh(harbour), folder, nothing, title="two", public=False)
    assert not (folder / "products/gone.html").exists()
    assert (folder / "CNAME").exists()
    assert outside.exists()


@pytest.mark.parametrize("there", ["notes.txt", "index.html"])
def test_a_folder_of_somebody_else_is_refused(harbour: Path, tmp_path: Path, there: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / there).write_text("mine", encoding="utf-8")
    with pytest.raises(WrongUsage, match="is not empty, and no site of storymesh"):
        write_site(load_mesh(harbour), folder, nothing, title="x", public=False)
    assert (folder / there).read_text(encoding="utf-8") == "mine"
    assert len(list(folder.iterdir())) == 1


def test_the_guide_has_every_page_of_the_documentation() -> None:
    pages = read_handbook()
    written = [path for path in (ROOT / "docs").rglob("*.md") if "templates" not in path.parts]
    assert len(pages) == len(written)
    assert all(page.title and page.parts for page in pages)
    assert not [page.href for page in pages if "<!--" in "".join(part.html for part in page.parts)]
    assert any(part.picture for page in pages for part in page.parts), "flowcharts are drawn"
    assert all(one.href != other.href for one, other in pairwise(sorted(pages, key=lambda page: page.href)))
