"""The words that a vocabulary would let in, from answers that were refused: counted, with no call."""

from collections.abc import Callable
from dataclasses import replace

from storymesh.grounding.check import check_grounding, grounding_feedback
from storymesh.grounding.pieces import GroundingSource, Piece
from storymesh.llm.response_cache import ResponseCache
from storymesh.rewriting.prompt import STORY_MARK
from storymesh.rewriting.rewrite import rewrite_texts
from storymesh.rewriting.rewriter import RewriteTask
from storymesh.rewriting.suggestion import SuggestedWord, suggest_vocabulary
from tests.support.model_server import Call, Server
from tests.support.narrator_bench import QUICK, Bench

Benches = Callable[[str], Bench]


def task(number: int, vocabulary: tuple[str, ...] = ()) -> RewriteTask:
    story = f"Crate SH-{number} waited."
    source = GroundingSource(story, (Piece(1, 6, 6 + len(f"SH-{number}")),), "en", vocabulary)
    return RewriteTask(f"retold/{number}", (("user", f"{STORY_MARK} {number}"),), source)


def test_refused_words_are_counted_and_those_of_closed_lists_set_apart(bench: Benches) -> None:
    def answer(call: Call) -> str:
        number = int(call.body["messages"][1]["content"].rpartition(" ")[2])
        words = {1: "The vessel's crate [[1]] waited.", 2: "Crate [[1]] of the vessels waited until June."}
        return words.get(number, "Crate [[1]] waited.")

    with Server(answer) as server:
        told = bench(server.url)
        tasks, narrator = [task(number) for number in (1, 2, 3)], told.narrator(attempts=1)
        with ResponseCache(told.store) as answers:
            assert suggest_vocabulary(tasks, narrator, answers).texts == 0
            asked = [narrator, answers]
            first = list(rewrite_texts(tasks, *asked, ground=check_grounding, feedback=grounding_feedback, retry=QUICK))
            assert sum(result.text is not None for result in first) == 1
            found = suggest_vocabulary([*tasks, task(4)], narrator, answers)
            assert (found.texts, found.refused, found.closed) == (3, 2, {"until": 1, "june": 1})
            assert found.words == (SuggestedWord("vessel's", 2, 1, "The vessel's crate [[1]] waited."),)
            # With the word in the vocabulary, what was refused for it alone is accepted.
            allowed = [replace(one, source=replace(one.source, vocabulary=("vessel",))) for one in tasks]
            assert check_grounding("The vessel's crate [[1]] waited.", allowed[0].source).faults == ()
        assert len(server.calls) == 3
