"""Data in a prompt stays data: nothing that a text says can end its fence or open one."""

import re

from hypothesis import given
from hypothesis import strategies as st

from storymesh.rewriting.prompt import fence

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


@given(HOSTILE, st.text(max_size=10))
def test_no_text_ends_its_own_fence(text: str, name: str) -> None:
    fenced = fence(text, name)
    assert len(MARK.findall(fenced)) == 2
    assert re.match(r'<record-data name="[a-z0-9_-]*">\n', fenced) and fenced.endswith("\n</record-data>")


@given(st.text())
def test_a_text_without_a_fence_in_it_is_shown_as_it_is(text: str) -> None:
    if not MARK.search(text):
        assert fence(text) == f'<record-data name="story">\n{text}\n</record-data>'
