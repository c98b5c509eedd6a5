"""What went wrong when a model was asked, told apart by what to do: wait, leave this question, or stop.

Nothing that comes back is trusted: neither its words, which may hold a key, nor its counts.
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
}


@dataclass(frozen=True)
class Reply:
    """One answer as it came. Token counts are null where the server told none; `finish` is `oversize` for an answer
    that was larger than MAX_RESPONSE or MAX_TEXT and was cut off while it was read."""

    text: str
    finish: str | None
    served: str | None
    input_tokens: int | None
    output_tokens: int | None


class Busy(Exception):
    """The server could not answer now. `wait`: seconds that it asked for; `slower`: it has too much to do; `billed`:
    it may have answered all the same, and taken money for it; `anyone`: whatever it had been asked."""

    def __init__(
        self,
        words: str,
        *,
        wait: float | None = None,
        slower: bool = False,
        billed: bool = False,
        anyone: bool = False,
    ) -> None:
        self.words = words
        self.anyone = anyone
        self.wait = wait
        self.slower = slower
        self.billed = billed
        super().__init__(words)


class Unfit(Exception):
    """The server will never answer this one question, or never in this form (`schema`)."""

    def __init__(self, words: str, *, schema: bool) -> None:
        self.words = words
        self.schema = schema
        super().__init__(words)


class Oversize(Exception):
    """More bytes than MAX_RESPONSE came, or bytes that hide how many they are."""


def secrets() -> tuple[str, ...]:
    """The values of this process's environment that no file, log or error may hold. A short one of letters alone may
    be a word of the language, and is let be."""
    named = (value for name, value in os.environ.items() if CREDENTIAL.search(name.upper()))
    found = (value for value in named if len(value) >= 16 or (len(value) >= 8 and re.search(r"\d", value)))
    return tuple(sorted(found, key=len, reverse=True))


def storable(text: str, secrets: tuple[str, ...]) -> str:
    """What may be kept of a text from outside: UTF-8 (JSON can spell half a surrogate pair) without our `secrets`."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, "***")
    return text.encode("utf-8", "replace").decode()


def judged(
    error: Exception, *, structured: bool, name: str, key_name: str, secrets: tuple[str, ...]
) -> "Busy | Unfit | NarratorFailed | Reply":
    """What an error of LangChain or of what lies below it means: wait, not this question, never again, or an answer
    after all. Told apart by what all SDKs have in common (a status, headers, a code), so that none is imported."""
    causes = list(_causes(error))
    if any(isinstance(cause, Oversize) for cause in causes):
        return Reply("", "oversize", None, None, None)
    for cause in causes:
        if (cut := _cut_off(cause)) is not None:
            return Reply(storable(cut.text, secrets), cut.finish, cut.served, cut.input_tokens, cut.output_tokens)
    if isinstance(error, NarratorFailed):
        return error
    status = next((code for cause in causes if (code := _status(cause)) is not None), None)
    if status is None:
        never_sent = any(type(cause).__name__ in ("ConnectError", "ConnectionRefusedError") for cause in causes)
        words = "the server cannot be reached" if never_sent else "the connection broke, or what came was no answer"
        return Busy(f"{words}: {_said(secrets, causes[-1])}", slower=True, billed=not never_sent, anyone=never_sent)
    headers = next((h for cause in causes if (h := _headers(cause)) is not None), {})
    named = {str(getattr(cause, field, "")) for cause in causes for field in ("code", "type")}
    told = f"{name} answered {status}: {_said(secrets, error)}"
    if status == 429 and "insufficient_quota" in named:
        return NarratorFailed(told, "the account's quota is used up: raise it and run again")
    if status in (408, 409, 425, 429) or status >= 500:
        busy = status in (429, 502, 503, 504, 529)
        return Busy(told, wait=retry_after(headers), slower=busy, anyone=busy)
    if named & OF_ONE_QUESTION or status == 413 or any("ContextOverflow" in type(c).__name__ for c in causes):
        return Unfit(told, schema=False)
    if LONG.search(told):
        return Unfit(told, schema=False)
    # A server without schemas says so in as many ways as there are servers; a name that is not found is one of
    # them only where it names the schema (OpenRouter).
    if structured and (status in (400, 415, 422, 501) or (status == 404 and FORM.search(told))):
        return Unfit(told, schema=True)
    advice = ADVICE.get(status, "what was answered so far is kept: mend the narrator and run again")
    return NarratorFailed(told, advice.format(key=key_name))


def _said(secrets: tuple[str, ...], error: BaseException) -> str:
    """An error's own words, on one line and without keys."""
    body = getattr(error, "body", None)
    told = body.get("message") if isinstance(body, dict) else None
    words = " ".join(str(told or str(error) or type(error).__name__).split())
    return LOOKS_LIKE_KEY.sub("***", storable(words, secrets))[:300]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it, outermost first."""
    seen: set[int] = set()
    met: BaseException | None = error
    while met is not None and id(met) not in seen:
        seen.add(id(met))
        yield met
        met = met.__cause__ or met.__context__


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


def _cut_off(error: BaseException) -> Reply | None:
    """OpenAI's SDK raises for an answer that reached its limit of tokens; it bears what was paid for."""
    completion = getattr(error, "completion", None)
    if completion is None:
        return None
    try:
        choice, usage = completion.choices[0], completion.usage
        read = counted(getattr(usage, "prompt_tokens", None))
        written = counted(getattr(usage, "completion_tokens", None))
        return Reply((choice.message.content or "")[:MAX_TEXT], choice.finish_reason, completion.model, read, written)
    except (AttributeError, IndexError, TypeError):
        return None


def counted(value: Any) -> int | None:
    """A token count that a server told. It may tell anything; below zero would give money back."""
    return min(value, 2**40) if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to be left alone: `retry-after-ms`, or `retry-after` as seconds or as a date
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
