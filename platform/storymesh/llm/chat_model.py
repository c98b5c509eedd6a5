"""One chat model behind LangChain's `init_chat_model`: opened late, asked once at a time, its failures told apart.

LangChain is imported when the first question is asked and not before. What LangChain would do by itself is off here:
its retries (the caller's rate depends on knowing of each failure), its tracing (it would send prompts to LangSmith)
and its gateway. A key goes to its provider's own address only, and is blacked out of whatever comes back.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from storymesh.errors import NarratorFailed, NarratorMissing
from storymesh.llm.failures import MAX_RESPONSE, MAX_TEXT, Busy, Oversize, Reply, counted, judged, secrets, storable
from storymesh.llm.response_cache import Messages

Parameters = Mapping[str, str | int | float | bool]
Schema = Mapping[str, Any]

STORY: Schema = {
    "title": "retelling",
    "description": "The story, told again.",
    "type": "object",
    "properties": {"story": {"type": "string", "description": "The retold story, and nothing else."}},
    "required": ["story"],
    "additionalProperties": False,
}
SCORE: Schema = {
    "title": "verdict",
    "description": "How good the retelling is.",
    "type": "object",
    "properties": {"score": {"type": "number", "description": "Between 0 (worst) and 1 (best)."}},
    "required": ["score"],
    "additionalProperties": False,
}

# The variable that holds each provider's key, for an error that can name it.
KEYS: Mapping[str, str] = {
    "anthropic": "ANTHROPIC_API_KEY",
    "azure_openai": "AZURE_OPENAI_API_KEY",
    "cohere": "COHERE_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "fireworks": "FIREWORKS_API_KEY",
    "google_genai": "GOOGLE_API_KEY",
    "groq": "GROQ_API_KEY",
    "mistralai": "MISTRAL_API_KEY",
    "openai": "OPENAI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "perplexity": "PPLX_API_KEY",
    "together": "TOGETHER_API_KEY",
    "xai": "XAI_API_KEY",
}
OWN_KEY = "STORYMESH_NARRATOR_KEY"
ENDPOINTS = ("_API_BASE", "_BASE_URL", "_API_URL", "_ENDPOINT", "_HOST")

# With one of these in the environment LangChain would send every prompt to LangSmith.
TRACING = ("LANGSMITH_TRACING", "LANGCHAIN_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2")

# What a narrative may not say: where the model is (that is `base_url`), who pays, and what this module decides.
OURS = frozenset(
    {
        "model",
        "model_name",
        "model_id",
        "model_provider",
        "configurable_fields",
        "config_prefix",
        "timeout",
        "request_timeout",
        "max_retries",
    }
    | {"n", "cache", "callbacks", "verbose", "rate_limiter", "disable_streaming", "include_response_headers"}
)
SECRET = re.compile(r"(^|_)(key|token|secret|password|url|base|endpoint|proxy|host|headers)$", re.IGNORECASE)

PROVIDER = re.compile(r"^(?P<provider>[a-z][a-z0-9_]*):(?P<name>.+)$")


def unfit(model: str, parameters: Parameters) -> str | None:
    """Why this model name and these parameters cannot be, in words; None when they can. Reads no environment."""
    if not PROVIDER.match(model):
        return f"the model '{model}' names no provider: write it as provider:model, such as openai:gpt-4o-mini"
    for name in parameters:
        if SECRET.search(name):
            return f"the parameter '{name}' does not belong into a file: keys and proxies stand in the environment"
        if name in OURS:
            return f"the parameter '{name}' is not for a narrative to set"
    return None


def output_cap(parameters: Parameters) -> int | None:
    """The most tokens that one answer may have by its parameters, or None where nothing caps it."""
    caps = [
        parameters[name]
        for name in ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict")
        if name in parameters
    ]
    numbers = [int(cap) for cap in caps if isinstance(cap, int) and not isinstance(cap, bool) and cap > 0]
    return max(numbers) if numbers else None  # of two the provider may know only one


def endpoint(model: str, base_url: str | None) -> str | None:
    """The address that answers `model`: the narrative's, else the environment's, else None for the provider's own.
    Without the name and password that a URL may carry."""
    address = base_url
    if address is None and (named := PROVIDER.match(model)):
        prefix = named["provider"].upper()
        address = next((os.environ[prefix + tail] for tail in ENDPOINTS if os.environ.get(prefix + tail)), None)
    if address is None:
        return None
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")).rstrip("/")


class Chat:
    """The model `name`, asked in plain text or in `schema`. Opened by the first `ask`, or by `open`."""

    def __init__(self, name: str, base_url: str | None, parameters: Parameters, timeout: float, schema: Schema) -> None:
        self.name = name
        self.base_url = base_url
        self.parameters = parameters
        self.timeout = timeout
        self.schema = schema
        self._secrets = secrets()
        self._plain: Any = None
        self._formed: Any = None
        self._client: Any = None
        self._untraced: Callable[[], AbstractContextManager[Any]] = nullcontext

    @property
    def key_name(self) -> str:
        """The variable in which this model's key is looked for."""
        provider = self.name.partition(":")[0]
        return OWN_KEY if self.base_url is not None else KEYS.get(provider, f"{provider.upper()}_API_KEY")

    @property
    def opened(self) -> bool:
        return self._plain is not None

    @property
    def structured(self) -> bool:
        """Whether the model can be asked in the schema, as far as its LangChain class says."""
        return self._formed is not None

    def open(self) -> None:
        """Import LangChain and build the model; calls nobody. Raises NarratorFailed: a package or a key is missing."""
        if self.opened:
            return
        if words := unfit(self.name, self.parameters):
            raise NarratorFailed(words)
        provider = self.name.partition(":")[0]
        try:
            from langchain.chat_models import init_chat_model
        except ImportError as error:
            raise NarratorMissing(
                f"the narrator {self.name} needs LangChain: {error}", "pip install 'storymesh[openai]'"
            ) from error
        gateway = os.environ.get("LANGSMITH_GATEWAY", "")
        if gateway.lower() not in ("", "0", "no", "false") and self.base_url is None and provider != "openai":
            raise NarratorFailed(
                f"LANGSMITH_GATEWAY is set, so what {self.name} is asked would go to LangSmith",
                "unset it, or name the address with `base_url`",
            )
        settings: dict[str, Any] = {**self.parameters, "timeout": self.timeout, "max_retries": 0}
        address = self.base_url
        if self.base_url is not None:
            # The provider's own key is not for whatever address a narrative names.
            if provider in KEYS:
                settings["api_key"] = os.environ.get(OWN_KEY) or "none"
        elif (variable := KEYS.get(provider)) and not os.environ.get(variable):
            raise NarratorMissing(f"the narrator {self.name} needs a key", f"set {variable} in the environment")
        if provider == "openai" and address is None:
            # Named outright, so that LangSmith's gateway cannot slip in by an environment variable.
            address = next(
                (os.environ[name] for name in ("OPENAI_API_BASE", "OPENAI_BASE_URL") if os.environ.get(name)),
                "https://api.openai.com/v1",
            )
        if address is not None:
            settings["base_url"] = address
        try:
            if provider == "openai":
                settings["http_async_client"] = self._client = _client(self.timeout)
            plain = init_chat_model(self.name, **settings)
        except ImportError as error:
            package = re.search(r"`pip install ([\w-]+)`", str(error))
            wanted = (
                "'storymesh[openai]'" if provider == "openai" else package[1] if package else f"langchain-{provider}"
            )
            raise NarratorMissing(
                f"the narrator {self.name} needs a package that is not installed: {error}".partition(". Please")[0],
                f"pip install {wanted}",
            ) from error
        except Exception as error:
            raise NarratorFailed(
                f"the narrator {self.name} cannot be opened: {storable(str(error), self._secrets)}",
                f"look up its name and parameters, and set its key in {self.key_name}",
            ) from None
        if any(os.environ.get(name) for name in TRACING):
            from langsmith.run_helpers import tracing_context

            self._untraced = lambda: tracing_context(enabled=False)
        self._formed = self._in_schema(plain)
        self._plain = plain

    def _in_schema(self, plain: Any) -> Any:
        """The model asked in the schema: its own way (a response format or a tool), or None where it has none."""
        if self._client is not None and not getattr(plain, "use_responses_api", False):
            # `with_structured_output` goes through a parser of the SDK that costs 1 ms a call and raises for an answer
            # that was cut off, which is lost then though it was paid. The same request without that parser:
            form = {"type": "json_schema", "json_schema": {"name": self.schema["title"], "strict": True}}
            form["json_schema"]["schema"] = {k: v for k, v in self.schema.items() if k not in ("title",)}  # type: ignore[index]
            return plain.bind(extra_body={"response_format": form})
        try:
            return plain.with_structured_output(dict(self.schema)).first
        except (NotImplementedError, ImportError, AttributeError, TypeError, ValueError):
            return None

    async def ask(self, messages: Messages, *, structured: bool) -> Reply:
        """Ask once. Raises Busy (ask again later), Unfit (never this question), NarratorFailed (never again)."""
        self.open()
        asked = self._formed if structured and self._formed is not None else self._plain
        try:
            async with asyncio.timeout(self.timeout):
                with self._untraced():
                    message = await asked.ainvoke(list(messages))
        except TimeoutError:
            raise Busy(f"no answer within {self.timeout:g} s", slower=True, billed=True) from None
        except asyncio.CancelledError:
            raise
        except Exception as error:
            met = judged(error, structured=structured, name=self.name, key_name=self.key_name, secrets=self._secrets)
            if isinstance(met, Reply):
                return met
            raise met from None
        return self._reply(message)

    async def close(self) -> None:
        if self._client is not None:
            with suppress(Exception):
                await self._client.aclose()

    def _reply(self, message: Any) -> Reply:
        text = str(message.text)
        for call in getattr(message, "tool_calls", None) or ():
            text = json.dumps(call.get("args"), ensure_ascii=False)
        extra = message.additional_kwargs or {}
        finish = message.response_metadata.get("finish_reason") or message.response_metadata.get("stop_reason")
        if not text and (invalid := getattr(message, "invalid_tool_calls", None)):
            text = str(invalid[0].get("args") or "")
        if not text and extra.get("refusal"):
            finish = "refusal"
        if len(text) > MAX_TEXT:
            text, finish = text[:1000], "oversize"
        usage = message.usage_metadata or {}
        return Reply(
            self._clean(text),
            None if finish is None else self._clean(str(finish))[:100],
            self._served(message.response_metadata),
            counted(usage.get("input_tokens")),
            counted(usage.get("output_tokens")),
        )

    def _served(self, told: Mapping[str, Any]) -> str | None:
        name = told.get("model_name") or told.get("model")
        return self._clean(name)[:200] if isinstance(name, str) else None

    def _clean(self, text: str) -> str:
        return storable(text, self._secrets)


def _client(timeout: float) -> Any:
    """The HTTP client for OpenAI's SDK: aiohttp below where it is there (half the CPU of the default a call), no
    redirects (prompts go where they were sent, or nowhere) and no answer larger than MAX_RESPONSE."""
    import openai

    # The HTTP library is the SDK's own: httpx2 from its version 3 on, httpx before.
    httpx: Any = sys.modules[openai.DefaultAsyncHttpxClient.__mro__[1].__module__.partition(".")[0]]

    class Bounded(httpx.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in self._stream:
                size += len(chunk)
                if size > MAX_RESPONSE:
                    raise Oversize(f"more than {MAX_RESPONSE} bytes")
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    async def bound(response: Any) -> None:
        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity":
            # It was asked not to: what is compressed may be any size when it is not.
            if response.status_code == 200:
                raise Oversize(f"the server compressed its answer ({encoding})")
            del response.headers["content-encoding"]
        response.stream = Bounded(response.stream)

    settings: dict[str, Any] = {
        "timeout": timeout,
        "follow_redirects": False,
        "headers": {"accept-encoding": "identity"},
        "event_hooks": {"response": [bound]},
    }
    try:
        return openai.DefaultAioHttpClient(**settings)
    except RuntimeError:
        return openai.DefaultAsyncHttpxClient(**settings)
