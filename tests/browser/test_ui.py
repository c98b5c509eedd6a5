"""The user interface as an operator meets it: `storymesh ui` on a mesh that has never run, in a real browser; and what
pages of other sites get of the same server, of which `security/test_browser.py` tries the guard alone.

What an operator does is done by looking and clicking. What was on the screen is kept in `artefacts/browser`, also when
a test fails.
"""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Error, Page, expect, sync_playwright

from tests.support.needs import needs
from tests.support.paths import ROOT
from tests.support.roadside import keep_two_configs
from tests.support.servers import free_port
from tests.support.whole_mesh import command, copied, environment

SCREENS = ROOT / "artefacts" / "browser"
LIMIT_MS = 600_000
SLOW_MS = 300_000
EVIL = "http://evil.example"
SLOW_S = SLOW_MS / 1000
CLIENT = httpx.Client(timeout=SLOW_S, limits=httpx.Limits(max_keepalive_connections=0))
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

    @property
    def graphql(self) -> str:
        return f"{self.address}/graphql"

    def asks(self, query: str, **variables: Any) -> Any:
        """Return the data that a query of a program on this machine is answered with."""
        body = {"query": query, "variables": variables}
        return CLIENT.post(self.graphql, json=body).json()["data"]

    def runs(self, *statuses: str) -> int:
        """Return how many runs there are, of these statuses or of any."""
        query = "query($f: RunsFilter!) { runsOrError(filter: $f) { ... on Runs { results { id } } } }"
        return len(self.asks(query, f={"statuses": statuses} if statuses else {})["runsOrError"]["results"])

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
    set_looks(mesh)
    port = free_port()
    log = mesh.parent / "ui.log"
    with (
        log.open("w") as out,
        subprocess.Popen(
            command("ui", "--port", str(port), mesh=mesh),
            cwd=mesh,
            env=environment(),
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
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
            ends = time.monotonic() + LIMIT_MS / 1000
            # A run that is killed while it starts would print a traceback of Python's own.
            while operator.runs("QUEUED", "NOT_STARTED", "STARTING", "STARTED") and time.monotonic() < ends:
                time.sleep(0.3)
        finally:
            os.killpg(ui.pid, signal.SIGINT)  # as a terminal does it for Ctrl-C
    output = log.read_text(encoding="utf-8")
    assert ui.returncode == 0, output
    assert "Traceback" not in output


LOOKS_S = {"narratives": 1, "domains/fleet": 3600, "domains/road": 3600}


def set_looks(mesh: Path) -> None:
    """Have the narratives' sensor look for new snapshots whenever Dagster's daemon comes by, for which a person would
    wait half a minute; and those of the domains once, since whose runs they start nobody here would wait for."""
    for folder, seconds in LOOKS_S.items():
        location = mesh / folder / "definitions.py"
        lines = ["from storymesh.orchestration.assets import automation, sources", ""]
        lines += [f"automation.CHECK_EVERY_S = sources.CHECK_EVERY_S = {seconds}", ""]
        location.write_text("\n".join(lines) + location.read_text(encoding="utf-8"), encoding="utf-8")


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


def test_a_foreign_page_launches_nothing(operator: Operator) -> None:
    launch = "mutation($s: JobOrPipelineSelector!) { launchRun(executionParams: {selector: $s}) { __typename } }"

    def body(job: str) -> dict[str, Any]:
        named = {"repositoryLocationName": "fleet", "repositoryName": "__repository__", "pipelineName": job}
        return {"query": launch, "variables": {"s": named}}

    known = body("refresh_fleet")
    by_address = {"query": launch, "variables": json.dumps(known["variables"])}
    other_name = f"evil.example:{operator.address.rpartition(':')[2]}"
    attacks = {
        "by GET": CLIENT.get(operator.graphql, params=by_address, headers={"referer": EVIL}),
        "as a plain text": CLIENT.post(
            operator.graphql, content=json.dumps(known), headers={"content-type": "text/plain"}
        ),
        "in the address of a form": CLIENT.post(operator.graphql, params=by_address, data={"x": "y"}),
        "from another site": CLIENT.post(operator.graphql, json=known, headers={"origin": EVIL}),
        "by another name": CLIENT.post(operator.graphql, json=known, headers={"host": other_name}),
        "asked beforehand": CLIENT.options(
            operator.graphql, headers={"origin": EVIL, "access-control-request-method": "POST"}
        ),
    }
    assert {name: got.status_code for name, got in attacks.items() if got.status_code < 400} == {}
    assert all("access-control-allow-origin" not in got.headers for got in attacks.values())
    own = CLIENT.post(operator.graphql, json=body("nothing"), headers={"origin": operator.address})
    assert own.json()["data"]["launchRun"]["__typename"] == "PipelineNotFoundError", "our own page is listened to"
    assert operator.runs() == 0


def test_only_our_own_page_opens_a_web_socket(operator: Operator) -> None:
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect
    from websockets.typing import Origin, Subprotocol

    address = operator.graphql.replace("http", "ws")
    options: Any = {"subprotocols": [Subprotocol("graphql-ws")], "proxy": None, "open_timeout": SLOW_S}
    with connect(address, origin=Origin(operator.address), **options) as own:
        own.send(json.dumps({"type": "connection_init"}))
        assert json.loads(own.recv(timeout=SLOW_S))["type"] == "connection_ack"
    with pytest.raises(InvalidStatus) as refused:
        connect(address, origin=Origin(EVIL), **options)
    assert refused.value.response.status_code == 403


def test_pages_cannot_be_framed_and_the_server_listens_to_this_machine_alone(operator: Operator) -> None:
    page = CLIENT.get(operator.address, headers={"accept": "text/html"})
    assert page.status_code == 200
    assert page.headers["x-frame-options"] == "SAMEORIGIN"
    assert "frame-ancestors 'self'" in ", ".join(page.headers.get_list("content-security-policy"))
    port = f"{int(operator.address.rpartition(':')[2]):04X}"
    listening = [
        line.split()[1]
        for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{port}")
    ]
    assert listening == [f"0100007F:{port}"]


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
