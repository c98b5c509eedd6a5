"""A narrator on a loopback server, its store, and tasks that are cheap to check."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storymesh.grounding.check import Grounding
from storymesh.grounding.faults import Fault
from storymesh.grounding.pieces import GroundingSource
from storymesh.llm.budget import Usage
from storymesh.llm.response_cache import ResponseCache
from storymesh.llm.retry import RetryPolicy
from storymesh.narrative.narrator_definition import Narrator
from storymesh.rewriting.prompt import STORY_MARK
from storymesh.rewriting.rewrite import rewrite_texts
from storymesh.rewriting.rewriter import GroundingCheck, RewriteResult, RewriteTask

QUICK = RetryPolicy(tries=4, costly=2, first=0.01, longest=0.05, asked=2.0, grace=60.0)


def check_word_for_word(retelling: str, source: GroundingSource) -> Grounding:
    """Accept a text that has the story word for word."""
    if source.story in retelling:
        return Grounding((), 2, retelling)
    return Grounding((Fault("word", "99 days", "the story has no 99 days"),), 2)


def bench_feedback(grounding: Grounding) -> str:
    return "Wrong: " + grounding.faults[0].because


def task(name: object, story: str | None = None, instruction: str = "Tell it again.") -> RewriteTask:
    story = story or f"story of {name}."
    return RewriteTask(f"retold/{name}", (("system", instruction), ("user", STORY_MARK)), GroundingSource(story))


@dataclass
class Bench:
    """Rewrites texts by a model of a server; `usage` is that of the last progress report."""

    store: Path
    settings: dict[str, Any] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)

    def narrator(self, **settings: Any) -> Narrator:
        return Narrator.model_validate({"model": "openai:m", "prompt": "x.jinja", **self.settings, **settings})

    def rewrite(
        self,
        tasks: Iterable[RewriteTask],
        retry: RetryPolicy = QUICK,
        ground: GroundingCheck = check_word_for_word,
        **settings: Any,
    ) -> dict[str, RewriteResult]:
        def progress(usage: Usage) -> None:
            self.usage = usage

        with ResponseCache(self.store) as answers:
            results = rewrite_texts(
                tasks,
                self.narrator(**settings),
                answers,
                progress,
                ground=ground,
                feedback=bench_feedback,
                retry=retry,
            )
            return {result.id: result for result in results}
