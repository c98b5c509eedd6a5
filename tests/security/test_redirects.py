"""A server of a model that sends a question on to another host: neither key nor prompt goes there."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import Any

import pytest

from storymesh.errors import NarratorFailed
from storymesh.llm.confined_requests import RedirectRefused, confined_requests
from storymesh.llm.langchain_model import LangChainModel
from storymesh.llm.model_settings import KEYS, invalid_address_of
from storymesh.llm.retry import TransientError
from storymesh.rewriting.prompt import STORY_SCHEMA

CODES = (301, 302, 303, 307, 308)
QUESTION = "a story that nobody else should see"


@dataclass
class Hosts:
    """Two servers on loopback: `first` sends on to the other, which notes what comes to it."""

    first: str = ""
    code: int = 307
    asked: list[str] = field(default_factory=list)  # paths that came to the first
    told: list[str] = field(default_factory=list)  # headers that came with them
    leaked: list[str] = field(default_factory=list)  # paths that came to the other


def _serve(answer: Callable[[BaseHTTPRequestHandler], None]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            answer(self)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    found = Hosts()

    def note(request: BaseHTTPRequestHandler) -> None:
        found.leaked.append(request.path)
        request.send_response(200)
        request.send_header("content-type", "application/json")
        request.send_header("content-length", "2")
        request.end_headers()
        request.wfile.write(b"{}")

    other = _serve(note)

    def send_on(request: BaseHTTPRequestHandler) -> None:
        found.asked.append(request.path)
        found.told.append(str(request.headers))
        request.send_response(found.code)
        request.send_header("location", f"http://localhost:{other.server_port}{request.path}")
        request.send_header("content-length", "0")
        request.end_headers()

    first = _serve(send_on)
    found.first = f"http://127.0.0.1:{first.server_port}"
    yield found
    for server in (first, other):
        server.shutdown()
        server.server_close()


def ask_with_httpx(url: str) -> None:
    import httpx

    with httpx.Client(follow_redirects=True) as client:
        client.post(url, json={"prompt": QUESTION}, headers={"x-api-key": "secret"}, follow_redirects=True)


def ask_with_httpx_without_a_client(url: str) -> None:
    import httpx

    httpx.post(url, json={"prompt": QUESTION}, follow_redirects=True)


def ask_with_a_client_of_ones_own(url: str) -> None:
    """As the SDKs do that a generator made."""
    import httpx

    class Wrapper(httpx.AsyncClient):
        pass

    async def ask() -> None:
        async with Wrapper(follow_redirects=True) as client:
            request = client.build_request("POST", url, json={"prompt": QUESTION})
            await client.send(request, stream=True)

    asyncio.run(ask())


def ask_with_a_stream(url: str) -> None:
    import httpx

    with httpx.stream("POST", url, json={"prompt": QUESTION}, follow_redirects=True) as response:
        response.read()


def ask_with_httpx2(url: str) -> None:
    import httpx2

    httpx2.post(url, json={"prompt": QUESTION}, follow_redirects=True)


def ask_with_requests(url: str) -> None:
    import requests

    requests.post(url, json={"prompt": QUESTION}, timeout=60, allow_redirects=True)


def ask_with_urllib3(url: str) -> None:
    import urllib3

    urllib3.PoolManager().request("POST", url, json={"prompt": QUESTION})


def ask_with_aiohttp(url: str) -> None:
    import aiohttp

    async def ask() -> None:
        async with aiohttp.ClientSession() as session, session.post(url, json={"prompt": QUESTION}) as response:
            await response.read()

    asyncio.run(ask())


def ask_on_a_thread(url: str) -> None:
    """As LangChain does for a client that cannot wait."""
    from langchain_core.runnables.config import run_in_executor

    asyncio.run(run_in_executor(None, ask_with_requests, url))


CLIENTS = [
    ask_with_httpx, ask_with_httpx_without_a_client, ask_with_a_client_of_ones_own, ask_with_a_stream, ask_with_httpx2,
    ask_with_requests, ask_with_urllib3, ask_with_aiohttp, ask_on_a_thread,
]  # fmt: skip


@pytest.mark.parametrize("client", CLIENTS)
def test_no_client_of_a_model_follows_a_redirect(hosts: Hosts, client: Callable[[str], None]) -> None:
    for hosts.code in CODES:
        with confined_requests(), pytest.raises(RedirectRefused) as refused:
            client(f"{hosts.first}/v1")
        assert refused.value.status_code == hosts.code
    assert len(hosts.asked) == len(CODES) and hosts.leaked == []
    client(f"{hosts.first}/v1")
    assert len(hosts.leaked) == 1, "who asks no model follows them as before"


@pytest.mark.parametrize("client", CLIENTS)
def test_no_client_asks_another_address_than_a_narrative_names(hosts: Hosts, client: Callable[[str], None]) -> None:
    port = hosts.first.rpartition(":")[2]
    for other in ("https://llm.example.com/v1", f"https://127.0.0.1:{port}", f"http://127.0.0.1:{int(port) - 1}"):
        with confined_requests(other), pytest.raises(NarratorFailed, match="so nothing is sent"):
            client(f"{hosts.first}/v1")
    assert hosts.asked == []


SECRET = "hf_of_the_environment_0123456789"


def carry_with_httpx(url: str) -> None:
    import httpx

    with httpx.Client(headers={"authorization": f"Bearer {SECRET}"}) as client:
        client.post(url, json={})


def carry_with_requests(url: str) -> None:
    import requests

    session = requests.Session()
    session.headers["x-api-key"] = SECRET
    session.post(url, timeout=60)


def carry_with_urllib3(url: str) -> None:
    import urllib3

    urllib3.PoolManager(headers={"api-key": SECRET}).request("POST", url)


def carry_with_aiohttp(url: str) -> None:
    import aiohttp

    async def ask() -> None:
        async with aiohttp.ClientSession(headers={"api-key": SECRET}) as session, session.post(url) as response:
            await response.read()

    asyncio.run(ask())


def carry_with_a_base_url(url: str) -> None:
    import aiohttp

    async def ask() -> None:
        async with (
            aiohttp.ClientSession(base_url=url) as session,
            session.post("chat", headers={"api-key": SECRET}) as response,
        ):
            await response.read()

    asyncio.run(ask())


def carry_in_the_address(url: str) -> None:
    import httpx

    httpx.get(url, params={"key": SECRET})


@pytest.mark.parametrize(
    "client",
    [
        carry_with_httpx, carry_with_requests, carry_with_urllib3, carry_with_aiohttp, carry_with_a_base_url,
        carry_in_the_address,
    ],
)  # fmt: skip
def test_no_key_of_the_environment_goes_to_an_address_that_a_narrative_names(
    hosts: Hosts, client: Callable[[str], None]
) -> None:
    with confined_requests(hosts.first, (SECRET,)), pytest.raises(NarratorFailed, match="key of the environment"):
        client(f"{hosts.first}/v1/")
    assert hosts.asked == []
    with confined_requests(None, (SECRET,)), pytest.raises(RedirectRefused):
        client(f"{hosts.first}/v1/")  # a provider's own address, or one of the environment


PACKAGES = {
    **{
        provider: f"langchain_{provider}"
        for provider in (
            *("anthropic", "cohere", "deepseek", "fireworks", "google_genai", "groq", "mistralai", "ollama", "openai"),
            *("openrouter", "together", "upstage", "xai"),
        )
    },
    "nvidia": "langchain_nvidia_ai_endpoints",
}


async def ask_once(model: LangChainModel) -> None:
    try:
        await model.ask([{"role": "user", "content": QUESTION}], structured=False)
    finally:
        await model.close()


INSTALLED = sorted(provider for provider, package in PACKAGES.items() if find_spec(package) is not None)


@pytest.mark.parametrize("provider", INSTALLED)
def test_the_client_of_a_provider_follows_no_redirect(
    hosts: Hosts, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those that are installed: of a plain installation, OpenAI's."""
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL", "_API_BASE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("STORYMESH_NARRATOR_KEY", "sk-of-a-test-0123456789")
    keys = [*KEYS.values(), "CO_API_KEY", "HF_TOKEN", "NVIDIA_API_KEY", "UPSTAGE_API_KEY"]
    for name in keys:
        monkeypatch.setenv(name, f"sk-of-{name}-0123456789")
    model = LangChainModel(f"{provider}:m", hosts.first, {}, 20, STORY_SCHEMA)

    with pytest.raises((NarratorFailed, TransientError)) as failed:
        asyncio.run(ask_once(model))
    assert hosts.asked or "needs a package" in failed.value.message, "it asked the server that it was told to"
    assert hosts.leaked == []
    assert not [name for name in keys for told in hosts.told if f"sk-of-{name}" in told]


FURTHER = {"anthropic": "ANTHROPIC_AUTH_TOKEN", "ollama": "OLLAMA_API_KEY", "openai": "OPENAI_ADMIN_KEY"}


@pytest.mark.parametrize("provider", sorted(FURTHER.keys() & INSTALLED))
def test_a_further_key_that_a_provider_finds_goes_nowhere(
    hosts: Hosts, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORYMESH_NARRATOR_KEY", "sk-of-a-test-0123456789")
    monkeypatch.setenv(FURTHER[provider], SECRET)
    model = LangChainModel(f"{provider}:m", hosts.first, {}, 20, STORY_SCHEMA)

    with pytest.raises((NarratorFailed, TransientError)):
        asyncio.run(ask_once(model))
    assert SECRET not in "".join(hosts.told)


@pytest.mark.parametrize(
    "provider",
    [
        *("anthropic_bedrock", "azure_ai", "azure_openai", "bedrock", "bedrock_converse", "google_anthropic_vertex"),
        *("google_vertexai", "ibm"),
    ],
)
def test_a_provider_that_signs_in_as_this_machine_is_asked_at_no_address_of_a_narrative(
    hosts: Hosts, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", SECRET)
    with pytest.raises(NarratorFailed, match="does not say where it is"):
        LangChainModel(f"{provider}:m", hosts.first, {}, 20, STORY_SCHEMA).open()
    assert invalid_address_of(f"{provider}:m")


def test_a_class_that_knows_no_address_is_not_asked(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a one keeps `base_url` as a word for its provider, and sends the prompts there."""
    from langchain_core.language_models.fake_chat_models import FakeListChatModel

    def init_chat_model(name: str, **settings: Any) -> Any:
        return FakeListChatModel(responses=["told"])

    monkeypatch.setattr("langchain.chat_models.init_chat_model", init_chat_model)
    with pytest.raises(NarratorFailed, match="whatever `base_url` says"):
        LangChainModel("perplexity:m", hosts.first, {}, 20, STORY_SCHEMA).open()
    monkeypatch.setenv("PPLX_API_KEY", "sk-of-a-test-0123456789")
    LangChainModel("perplexity:m", None, {}, 20, STORY_SCHEMA).open()
