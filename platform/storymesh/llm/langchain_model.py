"""A chat model behind LangChain's `init_chat_model`: opened late, asked without retries, its failures classified.

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
from storymesh.llm.addresses import address_fault
from storymesh.llm.confined_requests import confined_requests
from storymesh.llm.model_settings import KEYS, PROVIDER, Parameters, invalid_address_of, invalid_setting
from storymesh.llm.response_cache import Messages
from storymesh.llm.retry import (
    MAX_RESPONSE,
    MAX_TEXT,
    ResponseTooLarge,
    ServerReply,
    TransientError,
    classify_error,
    environment_secrets,
    redact_secrets,
    valid_token_count,
)

Schema = Mapping[str, Any]

OWN_KEY = "STORYMESH_NARRATOR_KEY"
ENDPOINTS = ("_API_BASE", "_BASE_URL", "_API_URL", "_ENDPOINT", "_HOST")

# With one of these in the environment LangChain would send every prompt to LangSmith.
TRACING = ("LANGSMITH_TRACING", "LANGCHAIN_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2")


def server_address(model: str, base_url: str | None) -> str | None:
    """Return the address of `model`: the given one, else the environment's, else None for the provider's own; without
    the name and password that a URL may carry."""
    address = base_url
    if address is None and (named := PROVIDER.fullmatch(model)):
        prefix = named["provider"].upper()
        address = next((os.environ[prefix + tail] for tail in ENDPOINTS if os.environ.get(prefix + tail)), None)
    if address is None:
        return None
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")).rstrip("/")


class LangChainModel:
    """The model `name`, asked for plain text or in `schema`. Opened by the first `ask`, or by `open`."""

    def __init__(
        self, name: str, base_url: str | None, parameters: Parameters, timeout: float, schema: Schema | None
    ) -> None:
        self.name = name
        self.base_url = base_url
        self.parameters = parameters
        self.timeout = timeout
        self.schema = schema
        self._secrets = environment_secrets()
        own = os.environ.get(OWN_KEY, "")
        self._withheld = tuple(secret for secret in self._secrets if secret not in own)
        self._plain: Any = None
        self._bound: Any = None
        self._client: Any = None
        self._untraced: Callable[[], AbstractContextManager[Any]] = nullcontext

    @property
    def key_name(self) -> str:
        """The environment variable of this model's key."""
        provider = self.name.partition(":")[0]
        return OWN_KEY if self.base_url is not None else KEYS.get(provider, f"{provider.upper()}_API_KEY")

    @property
    def opened(self) -> bool:
        return self._plain is not None

    @property
    def structured(self) -> bool:
        """True if the model can be asked in the schema, as far as its LangChain class says."""
        return self._bound is not None

    def open(self) -> None:
        """Import LangChain and build the model, without a call. Raises NarratorFailed."""
        if self.opened:
            return
        self._require_valid()
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
            settings |= _key_for_address(provider)
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
            with self._confinement():  # some ask their server for its models at once
                plain = _build(init_chat_model, self.name, settings)
        except ImportError as error:
            package = re.search(r"`pip install ([\w-]+)`", str(error))
            needed = (
                "'storymesh[openai]'" if provider == "openai" else package[1] if package else f"langchain-{provider}"
            )
            raise NarratorMissing(
                f"the narrator {self.name} needs a package that is not installed: {error}".partition(". Please")[0],
                f"pip install {needed}",
            ) from error
        except NarratorFailed:
            raise
        except Exception as error:
            raise NarratorFailed(
                f"the narrator {self.name} cannot be opened: {redact_secrets(str(error), self._secrets)}",
                f"look up its name and parameters, and set its key in {self.key_name}",
            ) from None
        if any(os.environ.get(name) for name in TRACING):
            from langsmith.run_helpers import tracing_context

            self._untraced = lambda: tracing_context(enabled=False)
        self._bound = self._in_schema(plain)
        self._plain = plain

    def _confinement(self) -> AbstractContextManager[None]:
        """Return what confines requests: to the address that a narrative names, without keys that are not for it."""
        return confined_requests(self.base_url, self._withheld)

    def _require_valid(self) -> None:
        """Raise NarratorFailed for what a narrative may not say, whoever checked it before."""
        fault = invalid_setting(self.name, self.parameters)
        if fault is None and self.base_url is not None:
            fault = invalid_address_of(self.name) or address_fault(self.base_url, None)
        if fault is not None:
            raise NarratorFailed(fault)

    def _in_schema(self, plain: Any) -> Any:
        """Return the model bound to the schema by a response format or a tool, None if it has neither, and where no
        schema is asked for."""
        if self.schema is None:
            return None
        if self._client is not None and not getattr(plain, "use_responses_api", False):
            # `with_structured_output` goes through a parser of the SDK that costs 1 ms a call and raises for an answer
            # that was cut off, which is lost then though it was paid. The same request without that parser:
            form = {"type": "json_schema", "json_schema": {"name": self.schema["title"], "strict": True}}
            form["json_schema"]["schema"] = {k: v for k, v in self.schema.items() if k not in ("title",)}  # type: ignore[index]
            return plain.bind(extra_body={"response_format": form})
        try:
            with self._confinement():
                return plain.with_structured_output(dict(self.schema)).first
        except Exception:  # also of a server that is asked whether it can
            return None

    async def ask(self, messages: Messages, *, structured: bool) -> ServerReply:
        """Ask once. Raises TransientError (ask again later), RejectedRequest (not this request), NarratorFailed."""
        self.open()
        model = self._bound if structured and self._bound is not None else self._plain
        try:
            async with asyncio.timeout(self.timeout):
                with self._untraced(), self._confinement():
                    message = await model.ainvoke(list(messages))
        except TimeoutError:
            raise TransientError(f"no answer within {self.timeout:g} s", slower=True, billed=True) from None
        except asyncio.CancelledError:
            raise
        except Exception as error:
            outcome = classify_error(
                error, structured=structured, name=self.name, key_name=self.key_name, secrets=self._secrets
            )
            if isinstance(outcome, ServerReply):
                return outcome
            raise outcome from None
        return self._reply(message)

    async def close(self) -> None:
        if self._client is not None:
            with suppress(Exception):
                await self._client.aclose()

    def _reply(self, message: Any) -> ServerReply:
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
        return ServerReply(
            self._clean(text),
            None if finish is None else self._clean(str(finish))[:100],
            self._served(message.response_metadata),
            valid_token_count(usage.get("input_tokens")),
            valid_token_count(usage.get("output_tokens")),
        )

    def _served(self, metadata: Mapping[str, Any]) -> str | None:
        name = metadata.get("model_name") or metadata.get("model")
        return self._clean(name)[:200] if isinstance(name, str) else None

    def _clean(self, text: str) -> str:
        return redact_secrets(text, self._secrets)


def _build(init_chat_model: Callable[..., Any], name: str, settings: Mapping[str, Any]) -> Any:
    """Return the chat model of a name. Raises NarratorFailed for a class that would ask another address."""
    model = init_chat_model(name, **settings)
    if "base_url" in settings and not _takes_address(type(model)):
        raise NarratorFailed(
            f"the narrator {name} asks its provider whatever `base_url` says, so nothing is sent",
            "leave `base_url` away, or name the provider whose protocol the server at that address speaks",
        )
    return model


def _key_for_address(provider: str) -> dict[str, str]:
    """Return the setting with the key for an address that a narrative names: the provider's own is not for that."""
    if provider == "ollama":  # which has none
        return {}
    return {"cohere_api_key" if provider == "cohere" else "api_key": os.environ.get(OWN_KEY) or "none"}


def _takes_address(model: Any) -> bool:
    """Return True if a class of LangChain has a field for `base_url`; others keep it as a word for their provider."""
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        if "base_url" in (name, field.alias, alias, *getattr(alias, "choices", ())):
            return True
    return False


def _client(timeout: float) -> Any:
    """Return the HTTP client for OpenAI's SDK: aiohttp below where it is there (half the CPU of the default a call), no
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
                    raise ResponseTooLarge(f"more than {MAX_RESPONSE} bytes")
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    async def bound(response: Any) -> None:
        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity":
            # It was asked not to: what is compressed may be any size when it is not.
            if response.status_code == 200:
                raise ResponseTooLarge(f"the server compressed its answer ({encoding})")
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
