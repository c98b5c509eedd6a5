"""A narrative may name a model: where it is, what is asked of it and what it answers is held against the mesh."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from storymesh.errors import DefinitionErrors, NarratorFailed
from storymesh.grounding.check import check_grounding
from storymesh.llm.addresses import address_fault, allowed_host_fault
from storymesh.llm.langchain_model import LangChainModel
from storymesh.llm.model_settings import invalid_setting
from storymesh.mesh.mesh import load_mesh, read_settings
from storymesh.mesh.model_hosts import model_findings
from storymesh.rewriting.prompt import STORY_SCHEMA
from tests.support.model_server import Body, Call, Outcome, Raw, Server, Status
from tests.support.narrator_bench import Bench, task
from tests.support.paths import TESTS

Benches = Callable[[str], Bench]
ALLOWED = ("llm.example.com", "gpu.example.com:8443", "http://llm.internal:8000", "[2001:db8::1]")


# --- where prompts may go ---


@pytest.mark.parametrize(
    "address",
    [
        "https://api.openai.com.evil.example/v1",
        "https://evil.example/v1",
        "https://llm.example.com.evil.example/v1",
        "https://llm.example.com@evil.example/v1",
        "https://llm.example.com:443@evil.example/v1",
        "https://evil.example\\@llm.example.com/v1",
        "https://evil.example#@llm.example.com/v1",
        "https://evil.example?@llm.example.com/v1",
        "https://evil.example/@llm.example.com/v1",
        "https://evil.example;llm.example.com/v1",
        "https://llm.example.com%2eevil.example/v1",
        "https://llm.example.com%00.evil.example/v1",
        "https://llm.example.com\n.evil.example/v1",
        "https://llm.example.com\t/v1",
        " https://llm.example.com/v1",
        "https://llm.example.com/v1\n",
        "https:/evil.example/v1",
        "//llm.example.com/v1",
        "llm.example.com/v1",
        "file:///etc/passwd",
        "ftp://llm.example.com/v1",
        "gopher://llm.example.com/v1",
        "unix:///var/run/docker.sock",
        "https://llm。example。com/v1",
        "https://ⅼlm.example.com/v1",
        "https://llm.example.com/v1?api-version=https://evil.example",
        "https://llm.example.com/v1#fragment",
        "https://llm.example.com:8443evil/v1",
        "https://llm.example.com:999999/v1",
        "https://xn--llm-example.com/v1",
        "https://[::ffff:169.254.169.254]/v1",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/v1",
        "http://0.0.0.0:8000/v1",
        "http://[::]:8000/v1",
        "http://127.0.0.1.evil.example/v1",
        "http://localhost.evil.example/v1",
        "http://2130706433/v1",
        "http://0x7f.1/v1",
        "http://[fe80::1%25eth0]/v1",
        "http://llm.example.com/v1",
        "http://llm.internal:9000/v1",
        "https://llm.internal:8000/v1",
        "https://gpu.example.com/v1",
        "http://gpu.example.com:8443/v1",
        "",
    ],
)
def test_an_address_that_the_mesh_does_not_allow_is_refused(address: str) -> None:
    assert address_fault(address, ALLOWED)


@pytest.mark.parametrize(
    "address",
    [
        "https://llm.example.com/v1",
        "https://LLM.Example.com:9000/v1/",
        "https://gpu.example.com:8443",
        "http://llm.internal:8000/v1",
        "https://[2001:db8::1]/v1",
        "http://127.0.0.1:8000/v1",
        "http://127.1.2.3/v1",
        "http://localhost:11434",
        "https://[::1]:8000/v1",
    ],
)
def test_an_address_that_the_mesh_allows_or_of_this_machine_is_taken(address: str) -> None:
    assert address_fault(address, ALLOWED) is None


@pytest.mark.parametrize(
    "entry", ["*", "*.example.com", "https://a/b", "a b", "", "user@host", "a,b", "http://", "host:x"]
)
def test_a_mesh_allows_single_hosts_only(tmp_path: Path, entry: str) -> None:
    assert allowed_host_fault(entry)
    (tmp_path / "mesh.yaml").write_text(f"models: {{hosts: ['{entry}']}}\n")
    with pytest.raises(DefinitionErrors, match="is no host"):
        read_settings(tmp_path)


# --- which models, and what may be said of them ---


@pytest.mark.parametrize(
    "model",
    [
        "os:system",
        "storymesh.cli:app",
        "huggingface:me/model-with-code",
        "litellm:openai/gpt-4o",
        "langsmith:any",
        "langchain_openai:ChatOpenAI",
        "../x:y",
        "OPENAI:gpt-4o",
        "openai :gpt-4o",
        "openai:",
        "openai:gpt-4o\n",
        "google_genai:../../v1/other",
        "openai:\x1b[31mred",
        "openai:" + "a" * 300,
        ":gpt-4o",
        "gpt-4o",
    ],
)
def test_a_model_of_no_known_provider_is_refused(model: str) -> None:
    assert invalid_setting(model, {})
    with pytest.raises(NarratorFailed):
        LangChainModel(model, None, {}, 5, STORY_SCHEMA).open()


@pytest.mark.parametrize(
    "name",
    [
        "base_url", "BASE_URL", "openai_api_base", "api_key", "openai_api_key", "openai_proxy", "default_headers",
        "azure_endpoint", "azure_ad_token", "anthropic_api_url", "endpoint_url", "api_endpoint", "callbacks",
        "callback", "callback_manager", "http_client", "http_async_client", "client", "async_client", "root_client",
        "model_kwargs", "extra_body", "extra_query", "default_query", "cache", "metadata", "tags", "rate_limiter",
        "custom_get_token_ids", "organization", "openai_organization", "credentials", "credentials_profile_name",
        "aws_access_key_id", "region_name", "project", "location", "transport", "client_options", "client_kwargs",
        "verify", "configurable_fields", "config_prefix", "model_provider", "tiktoken_model_name", "store", "user",
        "mcp_servers", "tools", "timeout", "max_retries", "n", "stream_options", "include", "disable_streaming",
        "verbose", "name", "lc_kwargs", "__class__", "", "temperature ", "Temperature",
    ],
)  # fmt: skip
def test_a_parameter_says_only_how_words_are_drawn(name: str) -> None:
    assert invalid_setting("openai:m", {name: "x"})


def narrative_findings(root: Path, narrator: str, settings: str = "") -> list[str]:
    (root / "mesh.yaml").write_text(settings)
    path = root / "narratives/roadside/narrative.yaml"
    text = path.read_text()
    retold = f"  retold: {{from: advice, narrator: {{prompt: ask.md.jinja, {narrator}}}}}\n"
    path.write_text(text.replace("\ndataset:", f"{retold}\ndataset:"))
    mesh = load_mesh(root)
    found = [str(finding) for finding in model_findings(mesh.narratives["roadside"], mesh.settings)]
    path.write_text(text)
    return found


def test_what_a_narrative_says_of_models_is_found_at_its_line(tmp_path: Path) -> None:
    root = tmp_path / "mesh"
    shutil.copytree(TESTS / "meshes/plain_files", root)
    there = "model: 'openai:m', base_url: 'https://llm.example.com/v1'"
    (found,) = narrative_findings(root, there, "store: .storymesh\n")
    assert "narrative.yaml:" in found and "[host-not-allowed]" in found and "llm.example.com" in found
    assert narrative_findings(root, there, "models: {hosts: [llm.example.com]}\n") == []
    judge = "model: 'openai:m', judge: {model: 'openai:m', prompt: ask.md.jinja, base_url: 'https://evil.example'}"
    assert len(narrative_findings(root, judge, "models: {hosts: [llm.example.com]}\n")) == 1
    assert "no provider" in narrative_findings(root, "model: 'os:system'", "store: .storymesh\n")[0]
    assert "not for a narrative" in narrative_findings(
        root, "model: 'openai:m', parameters: {callbacks: x}", "store: .storymesh\n"
    )[0]  # fmt: skip


# --- what a server does ---


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_not_followed(bench: Benches, code: int) -> None:
    def elsewhere(call: Call) -> Outcome:
        raise AssertionError("a prompt went where nobody sent it")

    with Server(elsewhere) as other:
        there = Status(code, headers={"location": f"{other.url}/chat/completions"})
        with Server(lambda call: there) as server, pytest.raises(NarratorFailed):
            bench(server.url).rewrite([task(1)])
        assert other.calls == []


def test_a_narrators_key_goes_to_no_other_machine_by_the_provider_s_variable(
    bench: Benches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-provider-0123456789")
    with Server(lambda call: "It went like this.") as server:
        bench(server.url).rewrite([task(1)])
        assert all("sk-of-the-provider" not in str(call.headers) for call in server.calls)


ENDLESS = b'{"choices": [{"message": {"role": "assistant", "content": "' + b"a" * (12 * 2**20)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Raw("a" * (10 * 2**20)), "too long"),
        (Body(ENDLESS), "too long"),
        (Body(b"\x1f\x8b" + b"\0" * 100, {"content-encoding": "gzip"}), "too long"),
        (Raw('{"story": ' + "[" * 100_000 + "}"), "unreadable"),
        (Raw('{"story": ' + "9" * 5_000 + "}"), "unreadable"),
    ],
    ids=["ten megabytes", "no end", "compressed", "nested deep", "a number of 5,000 digits"],
)
def test_an_answer_that_is_none_harms_one_record(bench: Benches, outcome: Outcome, words: str) -> None:
    with Server(lambda call: outcome) as server:
        told = bench(server.url).rewrite([task(1)], attempts=1)["retold/1"]
    assert told.text is None and words in str(told.reason)


@pytest.mark.parametrize(
    "sign",
    ["\x1b[31m", "\x1b]8;;http://evil\x07", "\x00", "\x08", "\x9b", "\u202e", "\u2066", "\U000e0041", "\x7f"],
    ids=lambda sign: f"U+{ord(sign[0]):04X}",
)
def test_an_answer_with_signs_that_nobody_sees_is_refused(bench: Benches, sign: str) -> None:
    answer = json.dumps({"story": f"story of 1.{sign}"})
    with Server(lambda call: Raw(answer)) as server:
        told = bench(server.url).rewrite([task(1)], attempts=1, ground=check_grounding)["retold/1"]
        own = task(2, f"story of 1.{sign}")
        same = bench(server.url).rewrite([own], attempts=1, ground=check_grounding)["retold/2"]
    assert told.text is None and "text: U+" in str(told.reason)
    assert same.text == f"story of 1.{sign}", "what the data has is the data's"
