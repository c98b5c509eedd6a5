"""The exceptions of storymesh, and findings: what `check` says about a file.

The text of each says what was there, what was expected and where; its hint says what to do next.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from storymesh.location import Location
from storymesh.printable import shortened

MAX_COMPARED = 400  # characters, and names
MAX_MESSAGE = 600  # characters of a finding, and of its hint
MAX_SHOWN = 100  # characters of a name that somebody else's file has
Severity = Literal["error", "warning"]


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong in a file. `rule` is the stable name of its kind, `hint` says what to do."""

    location: Location
    rule: str
    message: str
    hint: str = ""
    severity: Severity = "error"

    def __post_init__(self) -> None:
        # The whole of what somebody wrote stands in their file; a value of many pages would hide what is said of it.
        for name in ("message", "hint"):
            text = getattr(self, name)
            if len(text) > MAX_MESSAGE:
                object.__setattr__(self, name, f"{text[: MAX_MESSAGE // 2]} … {text[-MAX_MESSAGE // 2 :]}")

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.location}: {self.severity}[{self.rule}]: {self.message}{hint}"


class StorymeshError(Exception):
    """An error that a person can act on. Its `hint` says how."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(f"{message} ({hint})" if hint else message)


class DefinitionErrors(StorymeshError):
    """Errors in files that people wrote, one finding for each."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings: tuple[Finding, ...] = tuple(sorted(findings))
        super().__init__("\n".join(str(finding) for finding in self.findings))


class EngineFailed(Exception):
    """A failure of an engine that its caller did not foresee. Code that reads other people's files catches it."""


class OutOfMemory(StorymeshError):
    """A query that needs more memory than the engine may use. What it had written is removed."""


class WrongUsage(StorymeshError):
    """A command called with something that does not exist or does not fit."""

    exit_code = 2


class SourceUnreadable(StorymeshError):
    """A product's raw file that is missing, damaged or not what the product definition says."""


class TransformFailed(StorymeshError):
    """A domain's dbt project that did not build."""


class AuditRefused(StorymeshError):
    """Rows that break the contract so far that they are not published. Readers keep the last snapshot."""


class NotPublished(StorymeshError):
    """A product, or the requested version of it, without a snapshot that can be read."""


class PublishConflict(StorymeshError):
    """Another process that publishes the same product at the same time."""


class NotInLanguage(StorymeshError):
    """A value or an operation at run time that the language does not define: a defect of the checker."""


class TooLarge(StorymeshError):
    """Untrusted input beyond a limit of depth, size or time."""


class NarratorFailed(StorymeshError):
    """A chat model that cannot be opened or does not answer. Answers that were paid for stay in the cache."""


class NarratorMissing(NarratorFailed):
    """A narrator whose package or key is missing on this machine. Everything else works without it."""


def suggest_name(name: str, known: Iterable[str]) -> str:
    """Return a hint with the known name most like `name`, or with the known names when none is like it."""
    names: Sequence[str] = sorted(known)
    # Comparing grows with the square of the lengths, and a file of somebody else says how many there are.
    comparable = len(name) <= MAX_COMPARED and len(names) <= MAX_COMPARED
    close = get_close_matches(name, names, n=1, cutoff=0.6) if comparable else []
    if close:
        return f"did you mean '{shortened(close[0], MAX_SHOWN)}'?"
    if not names:
        return "there is none"
    shown = ", ".join(shortened(name, MAX_SHOWN) for name in names[:12])
    return f"known: {shown}" + (", …" if len(names) > 12 else "")
