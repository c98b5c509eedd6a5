"""Keys stay in the environment: in no file, log, error or answer, and with nobody but their provider."""

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from storymesh.errors import NarratorFailed
from storymesh.llm.langchain_model import server_address
from storymesh.llm.model_settings import invalid_setting
from storymesh.llm.response_cache import ResponseCache
from tests.support.model_server import Call, Server, Status
from tests.support.narrator_bench import Bench, task
from tests.support.paths import importable

Benches = Callable[[str], Bench]
KEY = "sk-planted-0123456789abcdef0123456789"
OWN = "planted-for-the-narrator-0123456789"


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("STORYMESH_NARRATOR_KEY", OWN)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)


def sent(server: Server) -> set[str]:
    return {call.headers["Authorization"] for call in server.calls}


def test_a_key_is_nowhere_even_where_the_server_sends_it_back(
    bench: Benches, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)

    def echoing(call: Call) -> str | Status:
        if call.number > 3:
            return Status(401, f"Incorrect API key provided: {call.headers['Authorization']}")
        return f"{call.prompt} {call.headers['Authorization']}"

    with Server(echoing) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        told = bench(server.url)
        with pytest.raises(NarratorFailed) as raised:
            told.rewrite((task(number) for number in range(9)), base_url=None, concurrency=1)
        assert sent(server) == {f"Bearer {KEY}"}
    with ResponseCache(told.store) as answers:
        assert answers.to_parquet(tmp_path / "answers.parquet") == 4
    seen = [str(raised.value), raised.value.hint, repr(raised.value.__cause__), caplog.text]
    seen += [file.read_bytes().decode("latin-1") for file in tmp_path.iterdir()]
    assert "Told" not in caplog.text and "story of 1." in "".join(seen)
    assert not [text for text in seen if KEY in text or OWN in text]


def test_a_provider_s_key_is_not_sent_to_an_address_that_a_narrative_names(
    bench: Benches, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(lambda call: call.prompt) as server:
        bench(server.url).rewrite([task(1)])
        monkeypatch.delenv("STORYMESH_NARRATOR_KEY")
        bench(server.url).rewrite([task(2)])
        assert sent(server) == {f"Bearer {OWN}", "Bearer none"}


def test_without_a_key_it_is_said_which_before_any_call(bench: Benches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(NarratorFailed, match=r"needs a key \(set OPENAI_API_KEY in the environment\)"):
        bench("unused").rewrite([task(1)], base_url=None)


@pytest.mark.parametrize(
    ("missing", "model", "words"),
    [
        ("langchain_openai", "openai:m", r"langchain-openai.*pip install 'storymesh\[openai\]'"),
        ("openai", "openai:m", r"pip install 'storymesh\[openai\]'"),
        ("langchain", "openai:m", r"needs LangChain"),
        ("langchain_mistralai", "mistralai:m", r"langchain-mistralai.*pip install langchain-mistralai"),
    ],
)
def test_without_the_package_it_is_said_what_to_install(
    bench: Benches, monkeypatch: pytest.MonkeyPatch, missing: str, model: str, words: str
) -> None:
    import langchain.chat_models.base as base

    base._get_chat_model_creator.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(NarratorFailed, match=words):
        bench("http://127.0.0.1:9/v1").rewrite([task(1)], model=model)
    base._get_chat_model_creator.cache_clear()


def test_langsmith_s_gateway_is_not_taken_in_silence(bench: Benches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGSMITH_GATEWAY", "true")
    with pytest.raises(NarratorFailed, match="would go to LangSmith"):
        bench("unused").rewrite([task(1)], base_url=None, model="anthropic:m")


def test_a_model_that_nobody_knows_is_told_in_words(bench: Benches) -> None:
    with pytest.raises(NarratorFailed, match="nobody:m cannot be opened"):
        bench("http://127.0.0.1:9/v1").rewrite([task(1)], model="nobody:m")


@pytest.mark.parametrize(
    ("model", "parameters", "words"),
    [
        ("gpt-4o-mini", {}, "provider:model"),
        ("openai:m", {"api_key": "x"}, "does not belong into a file"),
        ("openai:m", {"openai_api_key": "x"}, "does not belong into a file"),
        ("openai:m", {"openai_proxy": "http://evil"}, "does not belong into a file"),
        ("openai:m", {"openai_api_base": "http://evil"}, "does not belong into a file"),
        ("openai:m", {"base_url": "http://evil"}, "does not belong into a file"),
        ("openai:m", {"max_retries": 3}, "not for a narrative"),
        ("openai:m", {"model_name": "dear"}, "not for a narrative"),
        ("openai:m", {"configurable_fields": "any"}, "not for a narrative"),
    ],
)
def test_what_a_narrative_may_not_say(model: str, parameters: dict[str, str | int], words: str) -> None:
    assert words in (invalid_setting(model, parameters) or "")
    assert invalid_setting("openai:m", {"temperature": 0.2, "max_tokens": 500, "seed": 1, "streaming": True}) is None


def test_an_address_is_kept_without_the_password_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert server_address("openai:m", "https://me:secret@host:8/v1/?key=secret") == "https://host:8/v1"
    assert server_address("openai:m", None) is None
    monkeypatch.setenv("OPENAI_BASE_URL", "http://proxy/v1/")
    assert server_address("openai:m", None) == "http://proxy/v1"
    assert server_address("anthropic:m", None) is None


@pytest.mark.slow
def test_no_prompt_goes_to_langsmith_whatever_the_environment_says(
    bench: Benches, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A process of its own: LangSmith reads its environment once.
    program = """
import sys
from pathlib import Path
from tests.support.narrator_bench import Bench, task
told = Bench(Path(sys.argv[1]), {"base_url": sys.argv[2], "timeout": 60})
assert told.rewrite([task(1)])["retold/1"].text
"""
    reached: list[str] = []
    with Server(lambda call: call.prompt) as server, Server(lambda call: "x", seen=reached.append) as smith:
        for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2", "LANGSMITH_GATEWAY"):
            monkeypatch.setenv(name, "true")
        monkeypatch.setenv("LANGSMITH_API_KEY", "lsv2_planted")
        monkeypatch.setenv("LANGSMITH_ENDPOINT", smith.url)
        store = str(bench(server.url).store)
        subprocess.run([sys.executable, "-c", program, store, server.url], check=True, timeout=600, env=importable())
        assert len(server.calls) == 1
        assert reached == []
