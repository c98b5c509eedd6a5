"""The ways in which storymesh fails. Each bears where it failed, what was met, what was wanted and what to do next.

A `Finding` is one thing that `check` has to say about a file; the exceptions are for a caller that cannot go on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from storymesh.location import Location

Severity = Literal["error", "warning"]


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong in a file: `rule` is its stable name, `words` what was met, `hint` what to do."""

    location: Location
    rule: str
    words: str
    hint: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.location}: {self.severity}[{self.rule}]: {self.words}{hint}"


class StorymeshError(Exception):
    """What a person can act on. `words` say what was met and wanted, `hint` what to do next."""

    exit_code = 1

    def __init__(self, words: str, hint: str = "") -> None:
        self.words = words
        self.hint = hint
        super().__init__(f"{words} ({hint})" if hint else words)


class Refused(StorymeshError):
    """Files that people wrote are wrong: the findings say where."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings: tuple[Finding, ...] = tuple(sorted(findings))
        super().__init__("\n".join(str(finding) for finding in self.findings))


class EngineFailed(Exception):
    """An engine failed for a reason that its caller did not foresee; whoever reads files of others catches this."""


class OutOfMemory(StorymeshError):
    """The engine's memory did not do; what it wrote so far is gone."""


class WrongUsage(StorymeshError):
    """A command was called with something that does not exist or does not fit."""

    exit_code = 2


class SourceUnreadable(StorymeshError):
    """A product's raw file is missing, damaged or not what the product definition says."""


class TransformFailed(StorymeshError):
    """A domain's dbt project did not build."""


class AuditRefused(StorymeshError):
    """The staged rows break the contract so far that nothing is published; readers keep the last snapshot."""


class NotPublished(StorymeshError):
    """A product, or the version asked for, has no snapshot that can be read."""


class PublishConflict(StorymeshError):
    """`main` moved while an audit ran: somebody else published the same product."""


class NotInLanguage(StorymeshError):
    """A value or an operation met at run time that the language does not define: a defect of the checker."""


class TooLarge(StorymeshError):
    """Something untrusted passed a bound: depth, size or time."""


class NarratorFailed(StorymeshError):
    """A chat model cannot be opened or refuses to answer. Every answer that was paid for stays in the store."""


class NarratorMissing(NarratorFailed):
    """There is no narrator on this machine: its package or its key is missing. All else works without it."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the known name nearest to `name`, or lists the known ones when none is near."""
    names: Sequence[str] = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    if not names:
        return "there is none"
    shown = ", ".join(names[:12])
    return f"known: {shown}" + (", …" if len(names) > 12 else "")
