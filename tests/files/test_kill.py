"""A run that is killed anywhere loses no more than what it was at: real processes, ended where they say they are."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from storymesh.files.gather import WRITE_EVERY_S
from storymesh.files.inventory import Inventory
from storymesh.product.store import ProductStore
from storymesh.product.warehouse import Warehouse
from tests.files.conftest import FilesDesk
from tests.files.test_extraction import CONTRACT, FILES, PROMPT, PROMPT_PATH, row, told
from tests.support.model_server import Call, Raw, Server
from tests.support.paths import importable

MAILS, CONCURRENCY = 60, 8
# One process imports everything; each run is a fork of it, which says where it is and waits there to be killed.
PROGRAM = """
import json, os, signal, sys
from pathlib import Path
import great_expectations, pyarrow.compute, pyarrow.dataset, pyarrow.parquet
import langchain.chat_models, langchain_openai, pyiceberg.catalog.sql, pyiceberg.io.pyarrow, ibis.backends.duckdb
import storymesh.files.collection as collection, storymesh.files.content as content, storymesh.files.gather as gather
from storymesh.engine.open import open_engine
from storymesh.files.extraction.verified_rows import EvidenceReader
from storymesh.files.inventory import Inventory
from storymesh.mesh.file_collections import file_collection
from storymesh.mesh.mesh import load_mesh
from storymesh.product.publish_files import publish_files
from storymesh.product.store import ProductStore

def here(**found):
    print(json.dumps(found), flush=True)
    signal.pause()

def at(place):
    if place == "listing":
        whole = content.list_folder
        def listed(*given):
            for number, entry in enumerate(whole(*given)):
                if number == 30:
                    here()
                yield entry
        content.list_folder = listed
    elif place == "reading":
        whole, read = Inventory.store, []
        def store(self, files, *given):
            whole(self, files, *given)
            read.extend(files)
            if len(read) >= 20:
                here(stored=len(read))
        Inventory.store = store
    elif place == "proving":
        whole, proven = EvidenceReader.verify, []
        def verify(self, *given):
            proven.append(given)
            if len(proven) == 35:
                here()
            return whole(self, *given)
        EvidenceReader.verify = verify

def publish(root, place):
    at(place)
    mesh = load_mesh(Path(root))
    mesh.prepare_store()
    product = mesh.product("carrier.mails")
    def progress(phase, rows):
        if phase == place.removesuffix("ing"):
            here()
    with open_engine() as engine:
        store = ProductStore(mesh.warehouse, product.domain)
        found = file_collection(mesh, product)
        publish_files(product, mesh.contract(product.id), found, store, engine, "run", progress)

print("ready", flush=True)
for line in sys.stdin:
    process = os.fork()
    if process == 0:
        print(os.getpid(), flush=True)
        publish(sys.argv[1], line.strip())
        os._exit(0)
    os.waitpid(process, 0)
    print("ended", flush=True)
"""


class Runs:
    """Runs of one mesh, each a process that is killed."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def kill_at(self, place: str, reached: threading.Event | None = None) -> dict[str, Any]:
        """Kill a run where it says that it is at a place, or when something else has `reached` it; return its words."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{place}\n")
        self._process.stdin.flush()
        pid, said = int(self._next()), "{}"
        if reached is None:
            said = self._next()
        else:
            assert reached.wait(600)
        os.kill(pid, signal.SIGKILL)
        assert self._next() == "ended"
        found: dict[str, Any] = json.loads(said)
        return found

    def _next(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def running(desk: FilesDesk) -> Iterator[Runs]:
    command = [sys.executable, "-c", PROGRAM, str(desk.root)]
    environment = importable(STORYMESH_NARRATOR_KEY="none-needed")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        runs = Runs(process)
        try:
            assert runs._next() == "ready"
            yield runs
        finally:
            process.kill()


def version_of(desk: FilesDesk) -> str:
    snapshot = ProductStore(Warehouse(desk.store), "carrier").latest_snapshot("mails")
    assert snapshot is not None
    return snapshot.version


def test_a_run_that_is_killed_at_five_places_loses_no_more_than_it_was_at(
    desk: FilesDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORYMESH_NARRATOR_KEY", "none-needed")
    answered, enough = list[int](), threading.Event()

    def answer(call: Call) -> Raw:
        number = int(call.prompt.split("SHP-")[1][:6])
        answered.append(number)
        if len(answered) >= 20:
            enough.set()
        return told(row(f"SHP-{number:06}", number + 10, f"{number + 10} hours late", None))

    with Server(answer, delay=0.02) as server:
        files = FILES.replace("URL", server.url).replace("attempts: 1", f"attempts: 1\n  concurrency: {CONCURRENCY}")
        desk.contract, desk.files, desk.more[PROMPT_PATH] = CONTRACT, files, PROMPT
        for number in range(MAILS):
            desk.mail(f"{number}.eml", body=f"SHP-{number:06} is {number + 10} hours late.")
        desk.mesh()
        with running(desk) as runs:
            runs.kill_at("listing")
            stored = runs.kill_at("reading")["stored"]
            with Inventory(desk.inventory, writable=False) as inventory:
                kept = sum(1 for _ in inventory.contents())
            # What was read since the last time that it was written is lost, and nothing else.
            assert kept == stored >= 20
            assert WRITE_EVERY_S <= 0.25
            runs.kill_at("calling", enough)
            runs.kill_at("proving")
            runs.kill_at("publishing")
        assert desk.gather().read == 0
        published = desk.publish()
        calls = len(server.calls)
        assert published.rows_out == MAILS
        assert calls <= MAILS + 2 * CONCURRENCY, "two runs were killed while they asked"
        undisturbed = replace(desk, root=desk.root / "undisturbed")
        undisturbed.root.mkdir()
        for number in range(MAILS):
            undisturbed.mail(f"{number}.eml", body=f"SHP-{number:06} is {number + 10} hours late.")
        assert undisturbed.publish().rows_out == MAILS
        assert version_of(undisturbed) == version_of(desk)
