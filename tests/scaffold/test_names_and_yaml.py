"""Names that are made of what people call their files and columns, and the YAML that is written."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from storymesh.document import parse_document
from storymesh.scaffold.mesh import requirement_line
from storymesh.scaffold.names import plain_name, plain_names, singular_of
from storymesh.scaffold.yaml_text import yaml_text
from storymesh.yaml_syntax import dump_yaml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from([
    "no", "on", "008", "1e5", "0o17", "0x1F", "a: b", "# no", "- x", "~", "null", "1_000", "12:30", "2024-01-31", "=",
    "<<",
])  # fmt: skip


@given(st.dictionaries(st.text("abc", min_size=1), TEXTS | st.lists(TEXTS) | st.integers() | st.booleans()))
def test_what_is_written_means_the_same_in_both_versions_of_yaml(value: dict[str, object]) -> None:
    for text in (yaml_text(value, ["a comment\nof two lines"]), dump_yaml(value)):
        assert parse_document(text, "x.yaml").value == value
        assert yaml.safe_load(text) == value


PRINTABLE = TEXTS.filter(str.isprintable)  # a line end of another alphabet is lost where PyYAML writes it
VALUES = (
    PRINTABLE
    | st.lists(PRINTABLE)
    | st.integers()
    | st.booleans()
    | st.floats(allow_nan=False, allow_subnormal=False)
    | st.none()
)


@given(st.dictionaries(st.text("abc", min_size=1), VALUES))
def test_what_pyyaml_wrote_without_quotes_is_read_as_it_was(value: dict[str, object]) -> None:
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    assert parse_document(text, "x.yaml", dumped=True).value == value


def test_what_people_add_fields_to_has_a_line_for_each() -> None:
    long = {f"field_{number}": "an expression | default(another)" for number in range(4)}
    text = yaml_text({"id": "desk", "few": {"a": 1, "b": 2}, "take": long})
    assert text.splitlines()[:4] == ["id: desk", "few: {a: 1, b: 2}", "take:", f"  field_0: {long['field_0']}"]
    assert yaml_text({"id": "desk", "owner": "me"}) == "id: desk\nowner: me\n"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Order ID", "order_id"),
        ("orderId", "order_id"),
        ("Größe (m²)", "grosse_m2"),
        ("2024", "column_1_2024"),
        ("日付", "column_1"),
        ("\x1b[31m", "column_1_31m"),
        ("../../etc", "etc"),
    ],
)
def test_a_name_has_small_letters_digits_and_underscores(text: str, name: str) -> None:
    assert plain_name(text, "column_1") == name


def test_no_two_names_are_alike() -> None:
    assert plain_names(["Name", "name", "NAME", "?"]) == ["name", "name_2", "name_3", "column_4"]


@pytest.mark.parametrize(
    ("plural", "singular"), [("orders", "order"), ("policies", "policy"), ("boxes", "box"), ("gas", "gas")]
)
def test_singular(plural: str, singular: str) -> None:
    assert singular_of(plural) == singular


@pytest.mark.parametrize(
    ("origin", "line"),
    [
        (None, "storymesh==1.2.3"),
        ({"url": "https://a.example/s.git", "vcs_info": {"vcs": "git", "commit_id": "ab"}}, "git+https://a.example/s.git@ab"),
        ({"url": "https://a.example/s-1.2.3-py3-none-any.whl", "archive_info": {}}, "https://a.example/s-1.2.3-py3-none-any.whl"),
        ({"url": "file:///users/somebody/storymesh", "dir_info": {}}, "# storymesh 1.2.3 was installed from"),
    ],
)  # fmt: skip
def test_a_new_mesh_asks_an_index_only_for_what_came_from_one(origin: dict[str, object] | None, line: str) -> None:
    text = requirement_line("1.2.3", origin)
    assert line in text
    assert "somebody" not in text
    assert all(part.startswith("#") or "==" in part or " @ " in part for part in text.splitlines())
