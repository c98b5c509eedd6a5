"""The format `preference`: a question with a better and a worse answer, for preference tuning (DPO)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from storymesh.case.resolve import Cast
from storymesh.case.scopes import TypedCase
from storymesh.narrative.formats import slots
from storymesh.narrative.formats.conversation import TurnFormat, TurnText
from storymesh.narrative.formats.messages import SYSTEM

if TYPE_CHECKING:
    import ibis.expr.types as ir

SCORES: Mapping[str, str] = {
    "score_chosen": "how often earlier cases worked with the better answer (rate)",
    "score_rejected": "how often they did with the worse one",
    "margin": "the difference of the two, as TRL's RewardTrainer takes it",
}


class PairFormat(TurnFormat):
    """A format with two options, and beside their texts what earlier cases showed of each."""

    def case_values(
        self, cases: "ir.Table", cast: Cast, views: TypedCase, names: "Mapping[str, ir.Value]"
    ) -> "dict[str, ir.Value]":
        chosen, rejected = (names[f"option_{side}"]["rate"] for side in ("chosen", "rejected"))
        return {"score_chosen": chosen, "score_rejected": rejected, "margin": chosen - rejected}


PREFERENCE = PairFormat(
    name="preference",
    purpose="a question with a better and a worse answer, for preference tuning (DPO)",
    slots=(SYSTEM, slots.PROMPT, slots.OPTION),
    texts=(
        TurnText("system", SYSTEM),
        TurnText("prompt", slots.PROMPT),
        TurnText("chosen", slots.OPTION, "chosen"),
        TurnText("rejected", slots.OPTION, "rejected"),
    ),
    columns={
        "prompt": "the question, of what was known at its moment",
        "chosen": "the answer that earlier cases favour",
        "rejected": "the answer that earlier cases speak against",
        **SCORES,
    },
    later_columns=frozenset(SCORES),
    may_chat=True,
)
