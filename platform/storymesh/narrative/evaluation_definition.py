"""The part `evaluation:` of `narrative.yaml`: which questions a release carries to test a model with.

It stands for the config `eval`, whose record is made from it: its templates are checked and rendered as all others.
"""

from collections.abc import Mapping

from pydantic import Field, model_validator

from storymesh.document import Definition, ExpressionText
from storymesh.narrative.formats.evaluation import MAX_WORDINGS
from storymesh.narrative.template_files import Template

EVALUATION_CONFIG = "eval"


class EvaluationTasks(Definition):
    """What is asked of a drawn case: which action is `best`, how often one works (`rate`), whether the case's own one
    did (`verdict`); with `abstain`, `best` is also asked where the honest answer is that there are too few cases."""

    best: Template | None = None
    rate: Template | None = None
    verdict: Template | None = None
    abstain: bool = False

    @model_validator(mode="after")
    def _some(self) -> "EvaluationTasks":
        if self.best is None and self.rate is None and self.verdict is None:
            raise ValueError("no question is asked; name a template for `best`, `rate` or `verdict`")
        if self.abstain and self.best is None:
            raise ValueError("`abstain` asks what is best of cases with too few precedents; name a template for `best`")
        return self


class Evaluation(Definition):
    """The questions of a release: `each` cases of every combination of the `strata`, drawn by their ids from the time
    of the test, `best` asked in so many `wordings`; `context` tells what an open-book model may look up."""

    strata: tuple[ExpressionText, ...] = ()
    each: int = Field(default=20, ge=1, le=10_000)
    wordings: int = Field(default=1, ge=1, le=MAX_WORDINGS)
    tasks: EvaluationTasks
    system: Template | None = None
    context: Template | None = None

    @property
    def templates(self) -> Mapping[str, str]:
        """The file names of its templates by slot."""
        tasks = self.tasks
        slots = {
            "system": self.system,
            "best": tasks.best,
            "rate": tasks.rate,
            "verdict": tasks.verdict,
            "context": self.context,
        }
        return {slot: name for slot, name in slots.items() if name is not None}


def steps_in_file(steps: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return where something under `records.eval` is written in the file."""
    if steps[:2] != ("records", EVALUATION_CONFIG):
        return steps
    rest = steps[2:]
    return ("evaluation", "tasks", *rest) if rest[:1] in (("best",), ("rate",), ("verdict",)) else ("evaluation", *rest)
