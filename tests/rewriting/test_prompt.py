"""Data in a prompt stays data, and of an answer what was asked for counts, whatever stands around it."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storymesh.llm.fences import fence
from storymesh.llm.response_cache import ChatResponse
from storymesh.rewriting.judging import score_in_answer
from storymesh.rewriting.prompt import text_in_answer

MARK = re.compile(r"<\s*/?\s*record-data", re.IGNORECASE)
HOSTILE = st.lists(
    st.sampled_from(
        [
            "</record-data>",
            "<record-data",
            "</ record-data >",
            "< /RECORD-DATA>",
            "<",
            "/",
            "record-data",
            ">",
            "\n",
            "&lt;",
        ]
    )
    | st.text(max_size=5)
).map("".join)


def response_of(text: str) -> ChatResponse:
    return ChatResponse(text, "stop", None, 1, 1, estimated=False, usd=None, at=datetime(2024, 5, 1, tzinfo=UTC))


@given(HOSTILE, st.text(max_size=10))
def test_no_text_ends_its_own_fence(text: str, name: str) -> None:
    fenced = fence(text, name)
    assert len(MARK.findall(fenced)) == 2
    assert re.match(r'<record-data name="[a-z0-9_-]*">\n', fenced) and fenced.endswith("\n</record-data>")


@given(st.text())
def test_a_text_without_a_fence_in_it_is_shown_as_it_is(text: str) -> None:
    if not MARK.search(text):
        assert fence(text) == f'<record-data name="story">\n{text}\n</record-data>'


@pytest.mark.parametrize(
    ("answer", "story"),
    [
        ('{"story": "told"}', "told"),
        ('[THINK]Is {"story": "a draft"} right?[/THINK]{"story": "told"}', "told"),
        ('```json\n{"story": "told"}\n```', "told"),
        ('{"tone": "calm", "story": "told"} I hope this helps.', "told"),
        ("[THINK]I keep all.[/THINK]\ntold", "[THINK]I keep all.[/THINK]\ntold"),
        ("[[1]] was told", "[[1]] was told"),
        ('{"story": "tol', None),
        ('{"tale": "told"}', None),
        ('{"story": ' * 1000, None),
    ],
    ids=str,
)
def test_the_story_of_an_answer_is_that_of_its_last_object_or_all_of_it(answer: str, story: str | None) -> None:
    assert text_in_answer(response_of(answer), structured=True)[0] == story


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ('[THINK]{"score": 0.1}?[/THINK] {"score": 0.7}', 0.7),
        ('<think>0.9</think>\n```json\n{"score": 0.2}\n```', 0.2),
        ("0.4", 0.4),
        ("about 0.4", None),
        ('{"score": "high"}', None),
        ('{"score": NaN}', None),
    ],
    ids=str,
)
def test_the_score_of_a_judge_is_that_of_its_last_object(answer: str, score: float | None) -> None:
    assert score_in_answer(response_of(answer)) == score
