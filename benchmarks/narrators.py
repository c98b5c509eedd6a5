"""What narrating costs beside the calls themselves: records a second and our CPU a call against a local model server.

    python benchmarks/narrators.py [--records 2000] [--concurrency 64] [--delay 0.02]

The server is a process of its own and echoes the story after `delay` seconds. In the same run: the least that Python
can do (an aiohttp loop), OpenAI's SDK, LangChain's `ainvoke`, then `narrate` with an empty store and with a full one.
CPU is this process's alone, all threads. A limit on two cores is the server too: it is printed beside.
"""

import argparse
import asyncio
import gc
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from storymesh.grounding.check import Grounding
from storymesh.grounding.pieces import GroundingSource
from storymesh.llm.response_cache import ResponseCache
from storymesh.narrative.narrator_definition import Narrator
from storymesh.rewriting.prompt import STORY_MARK
from storymesh.rewriting.rewrite import rewrite_texts
from storymesh.rewriting.rewriter import RewriteTask

SERVER = Path(__file__).parent.parent / "tests" / "support" / "model_server.py"
STORY = "The shipment was held at the canal for 37 hours, and the carrier sent it by rail in the end. " * 8


def accepted(answer: str, _: GroundingSource) -> Grounding:
    """Accept whatever is told: the check is measured by its own benchmark."""
    return Grounding((), 1, answer)


@contextmanager
def served(delay: float) -> Iterator[tuple[str, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(SERVER), str(port), str(delay)])
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/v1", process.pid
    finally:
        process.terminate()
        process.wait()


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def prompt(number: int) -> tuple[tuple[str, str], ...]:
    return (("system", "Tell the story again in your own words."), ("user", f"Case {number}. {STORY}"))


def asked(number: int) -> tuple[tuple[str, str], ...]:
    """Return what `prompt` does, with a mark for the story."""
    return tuple((role, text.replace(STORY, STORY_MARK)) for role, text in prompt(number))


async def spread(call: Callable[[int], Awaitable[object]], records: int, concurrency: int) -> None:
    numbers = iter(range(records))

    async def worker() -> None:
        for number in numbers:
            await call(number)

    await asyncio.gather(*(worker() for _ in range(concurrency)))


def body(number: int) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": role, "content": text} for role, text in prompt(number)]}


async def bare(url: str, records: int, concurrency: int) -> None:
    import aiohttp

    async with aiohttp.ClientSession() as session:

        async def call(number: int) -> None:
            async with session.post(f"{url}/chat/completions", json=body(number)) as response:
                await response.json()

        await spread(call, records, concurrency)


async def sdk(url: str, records: int, concurrency: int) -> None:
    import openai

    async with openai.AsyncOpenAI(
        base_url=url, api_key="none", max_retries=0, http_client=openai.DefaultAioHttpClient()
    ) as client:

        async def call(number: int) -> None:
            await client.chat.completions.create(**body(number))

        await spread(call, records, concurrency)


async def langchain(url: str, records: int, concurrency: int) -> None:
    import openai
    from langchain.chat_models import init_chat_model

    async with openai.DefaultAioHttpClient() as client:
        model = init_chat_model("openai:m", base_url=url, api_key="none", max_retries=0, http_async_client=client)
        await spread(lambda number: model.ainvoke(list(prompt(number))), records, concurrency)


def narrated(url: str, records: int, concurrency: int, store: Path) -> None:
    narrator = Narrator(model="openai:m", prompt="x.jinja", base_url=url, concurrency=concurrency)
    tasks = (RewriteTask(f"retold/{n}", asked(n), GroundingSource(STORY)) for n in range(records))
    with ResponseCache(store) as answers:
        told = sum(r.text is not None for r in rewrite_texts(tasks, narrator, answers, ground=accepted, feedback=str))
    assert told == records


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--records", type=int, default=2000)
    arguments.add_argument("--concurrency", type=int, default=64)
    arguments.add_argument("--delay", type=float, default=0.02)
    chosen = arguments.parse_args()
    records, concurrency = chosen.records, chosen.concurrency
    print(f"{records} records, concurrency {concurrency}, server delay {chosen.delay * 1000:g} ms,", end=" ")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder, served(chosen.delay) as (url, server):
        store = Path(folder) / "answers.sqlite"
        ways: list[tuple[str, Callable[[], object]]] = [
            ("aiohttp alone", lambda: asyncio.run(bare(url, records, concurrency))),
            ("openai sdk", lambda: asyncio.run(sdk(url, records, concurrency))),
            ("langchain ainvoke", lambda: asyncio.run(langchain(url, records, concurrency))),
            ("narrate", lambda: narrated(url, records, concurrency, store)),
            ("narrate, all stored", lambda: narrated(url, records, concurrency, store)),
        ]
        # What is imported and opened once is not a cost a call.
        asyncio.run(langchain(url, 1, 1))
        narrated(url, 1, 1, Path(folder) / "first.sqlite")
        for name, way in ways:
            gc.collect()
            began, cpu, theirs = time.perf_counter(), time.process_time(), cpu_of(server)
            way()
            took, ours = time.perf_counter() - began, (time.process_time() - cpu) / records * 1000
            theirs = (cpu_of(server) - theirs) / records * 1000
            print(f"{name:<20} {records / took:>8,.0f} records/s  {ours:6.3f} ms CPU a call  (server {theirs:.3f} ms)")


if __name__ == "__main__":
    main()
