"""The user interface as an operator meets it: `storymesh ui` on a mesh that has never run, in a real browser.

Everything is done by looking and clicking. What was on the screen is kept in `artefacts/browser`, also when a test
fails.
"""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, expect, sync_playwright

from tests.support.needs import needs
from tests.support.paths import ROOT
from tests.support.roadside import keep_two_configs
from tests.support.whole_mesh import command, copied, environment

SCREENS = ROOT / "artefacts" / "browser"
LIMIT_MS = 120_000
SLOW_MS = 60_000
expect.set_options(timeout=SLOW_MS)  # a page waits for a server that shares two cores with other tests


@dataclass
class Operator:
    """A person before the interface of `mesh`. `elsewhere`: addresses that their browser asked for beside it;
    `troubles`: errors that the pages themselves reported."""

    mesh: Path
    page: Page
    address: str
    elsewhere: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def opens(self, path: str) -> Page:
        self.page.goto(self.address + path)
        return self.page

    def keeps(self, name: str) -> None:
        """A picture of what is on the screen."""
        SCREENS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENS / f"{name}.png")

    def launches(self, location: str, job: str) -> None:
        """Start the job by its button, and go to the page of the run."""
        page = self.opens(f"/locations/{location}/jobs/{job}")
        page.get_by_role("button", name="Materialize all").click()
        page.get_by_text("Launched run").wait_for()
        page.get_by_role("link", name="View", exact=True).click()
        page.wait_for_url("**/runs/*")

    def notes(self, url: str) -> None:
        """Remember an address that the browser asked for, unless it is the interface's own."""
        if not url.startswith((self.address, "data:", "blob:")):
            self.elsewhere.append(url)

    def sees_run(self, ended: str) -> None:
        expect(self.page.get_by_text(ended, exact=True).first).to_be_visible(timeout=LIMIT_MS)


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    chromium = needs("chromium", package="chromium")
    mesh = copied("tests/meshes/plain_files", tmp_path_factory.mktemp("operator") / "mesh")
    keep_two_configs(mesh)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = mesh.parent / "ui.log"
    with (
        log.open("w") as out,
        subprocess.Popen(
            command("ui", "--port", str(port), mesh=mesh),
            cwd=mesh,
            env=environment(),
            stdout=out,
            stderr=subprocess.STDOUT,
        ) as ui,
        sync_playwright() as playwright,
    ):
        try:
            # Chromium's own sandbox refuses to run as root, which continuous integration is.
            arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
            browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            page.set_default_timeout(SLOW_MS)
            operator = Operator(mesh, page, f"http://127.0.0.1:{port}")
            page.on("request", lambda request: operator.notes(request.url))
            page.on("pageerror", lambda error: operator.troubles.append(str(error)))
            _wait(operator, ui, log)
            yield operator
            browser.close()
        finally:
            ui.send_signal(signal.SIGTERM)
    assert ui.returncode == 0, log.read_text(encoding="utf-8")


def _wait(operator: Operator, ui: "subprocess.Popen[bytes]", log: Path) -> None:
    ends = time.monotonic() + LIMIT_MS / 1000
    while True:
        try:
            operator.opens("/locations")
            return
        except Error:
            output = log.read_text(encoding="utf-8")
            assert ui.poll() is None, f"storymesh ui ended:\n{output}"
            assert time.monotonic() < ends, f"no interface after {LIMIT_MS} ms:\n{output}"
            time.sleep(0.3)


@pytest.fixture(autouse=True)
def last_screen(operator: Operator, request: pytest.FixtureRequest) -> Iterator[None]:
    """How each test left the screen: what a failed one met."""
    yield
    operator.keeps(request.node.name.removeprefix("test_"))


def test_every_location_loads(operator: Operator) -> None:
    page = operator.opens("/locations")
    expect(page.get_by_text("Loaded", exact=True)).to_have_count(3, timeout=LIMIT_MS)
    for name in ("fleet", "road", "narratives"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()


def test_the_graph_leads_from_the_domains_to_the_narrative(operator: Operator) -> None:
    page = operator.opens("/asset-groups")
    expect(page.get_by_role("button", name="Materialize all (9)")).to_be_visible()
    for group in ("fleet", "road", "roadside"):
        expect(page.get_by_text(group, exact=True).first).to_be_visible()


def test_a_run_that_somebody_launches_succeeds(operator: Operator) -> None:
    operator.launches("fleet", "refresh_fleet")
    operator.sees_run("Success")


def test_rows_that_break_the_contract_are_red_with_the_reason_and_the_repaired_run_succeeds(operator: Operator) -> None:
    source = operator.mesh / "domains/road/sources/repairs.jsonl"
    whole = source.read_text(encoding="utf-8")
    source.write_text(whole.replace('"tow"', '"towed"'), encoding="utf-8")
    operator.launches("road", "refresh_road")
    operator.sees_run("Failure")
    reason = operator.page.get_by_text(re.compile(r"of 171 rows break the contract, more than 10 %: enum: remedy"))
    expect(reason.first).to_be_visible()
    operator.keeps("run-refused")
    run = operator.page.url

    page = operator.opens("/assets/road/repairs?view=checks&checkDetail=remedy_enum")
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()
    expect(page.get_by_text("remedy is one of tow, fix_on_site, swap_truck").first).to_be_visible()
    expect(page.get_by_text("contracts/road/repairs.odcs.yaml:")).to_be_visible()
    red = page.get_by_text("Failed", exact=True).last.evaluate("element => getComputedStyle(element).color")
    amount = [int(part) for part in re.findall(r"\d+", red)[:3]]
    assert amount[0] > 2 * max(amount[1:]), f"a failed check is shown in {red}"
    operator.keeps("check-red")

    source.write_text(whole, encoding="utf-8")
    page.goto(run)
    page.get_by_role("button", name="Re-execute all").click()
    page.wait_for_url(lambda url: url != run)
    operator.sees_run("Success")


def test_the_narrative_follows_by_itself_and_its_stories_are_readable(operator: Operator) -> None:
    page = operator.opens("/assets/roadside/release")
    expect(page.get_by_text("Latest materialization").locator("..")).to_contain_text("ago", timeout=LIMIT_MS)
    page.reload()  # what has come about shows by itself, its metadata does not
    expect(page.get_by_text("1.0.0-r1").first).to_be_visible()
    page = operator.opens("/assets/roadside/records/report")
    story = page.get_by_text(re.compile(r"truck T00 of Arnhem \(driver p-\w{12}\) stood because of a flat tyre"))
    expect(story).to_be_visible()
    story.scroll_into_view_if_needed()


def test_the_browser_asked_nobody_else_and_no_page_broke(operator: Operator) -> None:
    assert operator.elsewhere == []
    assert operator.troubles == []
