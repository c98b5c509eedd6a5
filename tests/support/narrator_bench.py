"""What the tests of narrators share: a narrator on a loopback server, a store, tasks that are cheap to hold to."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storymesh.grounding.check import Grounding, GroundingSource, UnsupportedClaim
from storymesh.llm.budget import Usage
from storymesh.llm.response_cache import ResponseCache
from storymesh.llm.retry import RetryPolicy
from storymesh.narrative.definition import Narrator
from storymesh.rewriting.rewrite import RewriteResult, RewriteTask, rewrite_texts

QUICK = RetryPolicy(tries=4, costly=2, first=0.01, longest=0.05, asked=2.0, grace=5.0)


def held(retelling: str, source: GroundingSource) -> Grounding:
    """Carried where the retelling holds the story word for word; else half of its claims are."""
    if source.story in retelling:
        return Grounding((), {"text": 2})
    return Grounding((UnsupportedClaim("number", 0, 1, "99 days", "the story has no 99 days"),), {"text": 2})


def task(name: object, story: str | None = None, instruction: str = "Tell it again.") -> RewriteTask:
    story = story or f"story of {name}."
    return RewriteTask(f"retold/{name}", (("system", instruction), ("user", story)), GroundingSource(story, {}))


@dataclass
class Bench:
    """Narrates against a server; `spent` is the last progress, `retellings` by record id."""

    store: Path
    settings: dict[str, Any] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)

    def narrator(self, **settings: Any) -> Narrator:
        return Narrator.model_validate({"model": "openai:m", "prompt": "x.jinja", **self.settings, **settings})

    def tell(
        self, tasks: Iterable[RewriteTask], retry: RetryPolicy = QUICK, **settings: Any
    ) -> dict[str, RewriteResult]:
        def progress(usage: Usage) -> None:
            self.usage = usage

        with ResponseCache(self.store) as answers:
            retellings = rewrite_texts(
                tasks,
                self.narrator(**settings),
                answers,
                progress,
                ground=held,
                feedback=lambda grounding: "Wrong: " + grounding.claims[0].because,
                retry=retry,
            )
            return {retelling.id: retelling for retelling in retellings}
