"""A server that speaks OpenAI's chat completions over real HTTP on loopback, counts its calls and fails by script.

`Server(answer)` calls `answer(call)` for each request and does what it returns: a text (told as the story, in the
schema where one was asked for), or one of the faults below; `seen` is told the path of any other request.
With `meeting=(first, count)` the calls from number `first` wait, for at most MEET_S seconds, until `count` are there.
As a program (`model_server.py PORT DELAY`) it echoes.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MEET_S = 20.0


@dataclass(frozen=True)
class Call:
    """One request as it came: `number` from 0, in order of arrival."""

    number: int
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def prompt(self) -> str:
        return str(self.body["messages"][-1]["content"])

    @property
    def structured(self) -> bool:
        return "response_format" in self.body


@dataclass(frozen=True)
class Raw:
    """The answer's text as it stands, whatever was asked; `usage` null: the server tells none."""

    text: str | None
    usage: tuple[int, int] | None = (10, 20)
    finish: str = "stop"
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    code: int
    message: str = "no"
    headers: dict[str, str] = field(default_factory=dict)
    error_code: str | None = None


@dataclass(frozen=True)
class Body:
    """A 200 with these bytes for a body."""

    content: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Reset:
    """The connection is broken off without a word."""


class Hang:
    """No answer ever comes."""


Outcome = str | Raw | Status | Body | Reset | Hang


class Server:
    """Serves on a thread of its own while it is entered; `url` is what goes into `base_url`."""

    def __init__(
        self,
        answer: Callable[[Call], Outcome],
        delay: float = 0.0,
        port: int = 0,
        seen: Callable[[str], object] = lambda path: None,
        meeting: tuple[int, int] | None = None,
    ) -> None:
        self._meeting = meeting
        self._met = asyncio.Event()
        self._seen = seen
        self._answer = answer
        self._delay = delay
        self._port = port
        self.calls: list[Call] = []
        self.running = self.most_running = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        assert self._ready.wait(600)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def wait_for_calls(self, count: int) -> None:
        """Wait until `count` calls have come, also those that nobody waits for any more; more than that is an error."""
        ends = time.monotonic() + 600
        while len(self.calls) < count and time.monotonic() < ends:
            time.sleep(0.01)
        assert len(self.calls) == count

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", self._port)
        self._loop.run_until_complete(site.start())
        self._port = runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._handle)
        app.router.add_route("*", "/{other:.*}", self._other)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        call = Call(len(self.calls), await request.json(), dict(request.headers))
        self.calls.append(call)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if self._delay:
                await asyncio.sleep(self._delay)
            if self._meeting is not None and call.number >= self._meeting[0]:
                await self._meet(self._meeting[1])
            return await self._do(self._answer(call), call, request)
        finally:
            self.running -= 1

    async def _meet(self, count: int) -> None:
        if self.running >= count:
            self._met.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._met.wait(), MEET_S)

    async def _other(self, request: web.Request) -> web.Response:
        self._seen(request.path)
        return web.json_response({}, status=404)

    async def _do(self, outcome: Outcome, call: Call, request: web.Request) -> web.StreamResponse:
        match outcome:
            case Reset():
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case Hang():
                await asyncio.sleep(3600)
                return web.Response()
            case Status(code, message, headers, error_code):
                error = {"error": {"message": message, "type": "error", "code": error_code}}
                return web.json_response(error, status=code, headers=headers)
            case Body(content, headers):
                return web.Response(body=content, headers={"content-type": "application/json", **headers})
            case str():
                outcome = Raw(json.dumps({"story": outcome}) if call.structured else outcome)
        if call.body.get("stream"):
            return await self._stream(outcome, call, request)
        message = {"role": "assistant", "content": outcome.text, **outcome.extra}
        told: dict[str, Any] = {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": f"{call.body['model']}-01",
        }
        told["choices"] = [{"index": 0, "finish_reason": outcome.finish, "message": message}]
        if outcome.usage is not None:
            told["usage"] = _usage(outcome.usage)
        return web.json_response(told)

    async def _stream(self, raw: Raw, call: Call, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        text = raw.text or ""
        pieces = [{"content": text[i : i + 7]} for i in range(0, len(text), 7)]
        chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": piece}]} for piece in pieces]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": raw.finish}]})
        if raw.usage is not None and (call.body.get("stream_options") or {}).get("include_usage"):
            chunks.append({"choices": [], "usage": _usage(raw.usage)})
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": f"{call.body['model']}-01"}
        for chunk in chunks:
            await response.write(f"data: {json.dumps({**head, **chunk})}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response


def _usage(usage: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}


if __name__ == "__main__":
    echo = Server(lambda call: call.prompt, float(sys.argv[2]), int(sys.argv[1]))
    web.run_app(echo.app(), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
