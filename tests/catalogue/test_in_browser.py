"""The catalogue in a real browser, from disk: it fits three widths, its search finds, a value shows its source."""

from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from storymesh.catalogue.site import write_site
from storymesh.mesh.mesh import load_mesh
from tests.support.needs import needs

WIDTHS = (390, 820, 1440)
expect.set_options(timeout=60_000)  # on a machine that has other tests to run
PAGES = ("index.html", "products/fleet.boats.html", "narratives/late-repairs.html", "docs/architecture.html")


def test_it_is_read_from_disk_at_every_width(released_harbour: Path, tmp_path: Path) -> None:
    chromium = needs("chromium", package="chromium")
    write_site(load_mesh(released_harbour), tmp_path / "site", lambda _: (), title="Harbour", public=False)
    address = (tmp_path / "site").as_uri()
    troubles: list[str] = []
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(color_scheme="dark")
        page.set_default_timeout(60_000)
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            for path in PAGES:
                page.goto(f"{address}/{path}")
                too_wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
                assert not page.evaluate(too_wide), f"{path} at {width}"
        page.keyboard.press("/")
        page.keyboard.type("skipper")
        page.keyboard.press("Enter")
        page.wait_for_url("**/search.html#skipper")
        page.get_by_role("link", name="fleet.boats.skipper").click()
        expect(page.locator("tr:target")).to_contain_text("restricted")
        page.goto(f"{address}/narratives/late-repairs.html")
        value = page.locator("a.v", has_text="boat-").first
        value.hover()
        expect(page.locator("#pop")).to_contain_text("fleet.boats")
        browser.close()
    assert troubles == []
    assert not [url for url in asked if not url.startswith((address, "data:"))]
