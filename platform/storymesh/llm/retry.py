"""Failures of a model classified by what to do (wait, drop this request, end the run), and how often to try again.

Nothing that a server returns is trusted: neither its texts, which may hold a key, nor its counts.
"""

import email.utils
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from storymesh.errors import NarratorFailed

# A retelling is a page or two. What is longer is a model that ran away, or a server that wants our memory.
MAX_TEXT = 256 * 1024
MAX_RESPONSE = 8 * 1024 * 1024

LOOKS_LIKE_KEY = re.compile(r"\b(sk|gsk|xai|lsv2|AIza)[-_][\w-]{16,}|(?<=Bearer )\S+")
CREDENTIAL = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$")

# A status of the family 4xx that speaks of one question and not of the run.
OF_ONE_QUESTION = frozenset(
    {"context_length_exceeded", "string_above_max_length", "content_filter", "content_policy_violation"}
    | {"invalid_prompt", "ResponsibleAIPolicyViolation"}
)
LONG = re.compile(r"context (length|window|size)|maximum context|prompt is too long|too many tokens", re.IGNORECASE)
FORM = re.compile(r"response_format|schema|structured|parameter|tool", re.IGNORECASE)
ADVICE: Mapping[int, str] = {
    401: "set the key in the variable {key}",
    402: "the account has no credit left: top it up and run again",
    403: "the key in {key} may not use this model",
    404: "look up the model's name and `base_url`",
    **dict.fromkeys(
        (301, 302, 303, 307, 308), "no redirect is followed: name the address that is meant with `base_url`"
    ),
}


@dataclass(frozen=True)
class RetryPolicy:
    """How often a failing server is tried again: `tries` in all, `costly` if a try may be billed; the wait doubles
    from `first` to `longest` seconds, with jitter. A server may ask for a wait of `asked` seconds at most; one that
    fails for more than `questions` questions in a row ends the run. After a stop, calls under way have `grace` seconds
    to bring what is already being paid for."""

    tries: int = 8
    costly: int = 3
    questions: int = 3
    first: float = 0.5
    longest: float = 30.0
    asked: float = 300.0
    grace: float = 10.0


@dataclass(frozen=True)
class ServerReply:
    """One answer as the server sent it. Token counts are None where it gave none; `finish` is `oversize` for an answer
    that was larger than MAX_RESPONSE or MAX_TEXT and was cut off while it was read."""

    text: str
    finish: str | None
    served: str | None
    input_tokens: int | None
    output_tokens: int | None


class TransientError(Exception):
    """The server could not answer now. `wait`: seconds that it asked for; `slower`: it is overloaded; `billed`: it may
    bill the call all the same; `anyone`: any other request would have failed too."""

    def __init__(
        self,
        message: str,
        *,
        wait: float | None = None,
        slower: bool = False,
        billed: bool = False,
        anyone: bool = False,
    ) -> None:
        self.message = message
        self.anyone = anyone
        self.wait = wait
        self.slower = slower
        self.billed = billed
        super().__init__(message)


class RejectedRequest(Exception):
    """The server will never answer this request, or never in this form (`schema`)."""

    def __init__(self, message: str, *, schema: bool) -> None:
        self.message = message
        self.schema = schema
        super().__init__(message)


class ResponseTooLarge(Exception):
    """A response of more than MAX_RESPONSE bytes, or one that hides its size."""


def environment_secrets() -> tuple[str, ...]:
    """Return the values of the environment that no file, log or error may hold. A short one of letters alone may be a
    common word, and is left out."""
    named = (value for name, value in os.environ.items() if CREDENTIAL.search(name.upper()))
    found = (value for value in named if len(value) >= 16 or (len(value) >= 8 and re.search(r"\d", value)))
    return tuple(sorted(found, key=len, reverse=True))


def redact_secrets(text: str, secrets: tuple[str, ...]) -> str:
    """Return a text as valid UTF-8 (JSON can spell half a surrogate pair) without our `secrets`."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, "***")
    return text.encode("utf-8", "replace").decode()


def classify_error(
    error: Exception, *, structured: bool, name: str, key_name: str, secrets: tuple[str, ...]
) -> "TransientError | RejectedRequest | NarratorFailed | ServerReply":
    """Return what an error of LangChain or a library below it means: wait, drop this request, end the run, or an answer
    after all. It goes by what all SDKs have in common (a status, headers, a code), so that none is imported."""
    causes = list(_causes(error))
    if any(isinstance(cause, ResponseTooLarge) for cause in causes):
        return ServerReply("", "oversize", None, None, None)
    for cause in causes:
        if (cut := _cut_off(cause)) is not None:
            return ServerReply(
                redact_secrets(cut.text, secrets), cut.finish, cut.served, cut.input_tokens, cut.output_tokens
            )
    for cause in causes:
        if isinstance(cause, NarratorFailed):
            return cause
    status = next((code for cause in causes if (code := _status(cause)) is not None), None)
    if status is None:
        never_sent = any(type(cause).__name__ in ("ConnectError", "ConnectionRefusedError") for cause in causes)
        message = "the server cannot be reached" if never_sent else "the connection broke, or what came was no answer"
        return TransientError(
            f"{message}: {_error_text(secrets, causes[-1])}", slower=True, billed=not never_sent, anyone=never_sent
        )
    headers = next((h for cause in causes if (h := _headers(cause)) is not None), {})
    named = {str(getattr(cause, field, "")) for cause in causes for field in ("code", "type")}
    message = f"{name} answered {status}: {_error_text(secrets, error)}"
    if status == 429 and "insufficient_quota" in named:
        return NarratorFailed(message, "the account's quota is used up: raise it and run again")
    if status in (408, 409, 425, 429) or status >= 500:
        busy = status in (429, 502, 503, 504, 529)
        return TransientError(message, wait=retry_after(headers), slower=busy, anyone=busy)
    if named & OF_ONE_QUESTION or status == 413 or any("ContextOverflow" in type(c).__name__ for c in causes):
        return RejectedRequest(message, schema=False)
    if LONG.search(message):
        return RejectedRequest(message, schema=False)
    # A server without schemas says so in as many ways as there are servers; a name that is not found is one of
    # them only where it names the schema (OpenRouter).
    if structured and (status in (400, 415, 422, 501) or (status == 404 and FORM.search(message))):
        return RejectedRequest(message, schema=True)
    advice = ADVICE.get(status, "what was answered so far is kept: mend the narrator and run again")
    return NarratorFailed(message, advice.format(key=key_name))


def _error_text(secrets: tuple[str, ...], error: BaseException) -> str:
    """Return the text of an error, on one line and without keys."""
    body = getattr(error, "body", None)
    stated = body.get("message") if isinstance(body, dict) else None
    text = " ".join(str(stated or str(error) or type(error).__name__).split())
    return LOOKS_LIKE_KEY.sub("***", redact_secrets(text, secrets))[:300]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _status(error: BaseException) -> int | None:
    for held in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            value = getattr(held, name, None)
            if isinstance(value, int) and not isinstance(value, bool) and 300 <= value < 600:
                return value
    return None


def _headers(error: BaseException) -> Mapping[str, str] | None:
    headers = getattr(getattr(error, "response", None), "headers", None)
    return headers if isinstance(headers, Mapping) else None


def _cut_off(error: BaseException) -> ServerReply | None:
    """Return the answer in an error that OpenAI's SDK raises when the limit of tokens is reached; it was paid for."""
    completion = getattr(error, "completion", None)
    if completion is None:
        return None
    try:
        choice, usage = completion.choices[0], completion.usage
        read = valid_token_count(getattr(usage, "prompt_tokens", None))
        written = valid_token_count(getattr(usage, "completion_tokens", None))
        return ServerReply(
            (choice.message.content or "")[:MAX_TEXT], choice.finish_reason, completion.model, read, written
        )
    except (AttributeError, IndexError, TypeError):
        return None


def valid_token_count(value: Any) -> int | None:
    """Return a token count from a server if it is valid, else None: a negative one would give money back."""
    return min(value, 2**40) if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait: `retry-after-ms`, or `retry-after` as seconds or as a date
    (RFC 9110 §10.2.3)."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            try:
                seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
            except (ValueError, TypeError, OverflowError):
                continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None
