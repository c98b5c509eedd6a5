"""Files of an audit in groups: each once, in their order, and no group larger than memory should hold."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from storymesh.contract import audited_files
from storymesh.contract.audited_files import AuditedFile, group_files

SIZES = st.one_of(st.none(), st.sampled_from([0, 1, 2**20, 200 * 2**20, 2**29]))
FILES = st.lists(st.tuples(st.sampled_from([0, 1, 10, 400_000, 900_000]), SIZES), max_size=30)


@given(FILES)
def test_files_are_in_groups_in_their_order_and_none_is_too_large(files: list[tuple[int, int | None]]) -> None:
    named = [AuditedFile(str(number), rows, size) for number, (rows, size) in enumerate(files)]
    by_path = {file.path: file for file in named}
    groups = list(group_files(named))
    assert [path for group in groups for path in group.paths] == list(by_path)
    start = 0
    for group in groups:
        members = [by_path[path] for path in group.paths]
        assert group.start == start
        assert group.rows == sum(file.rows for file in members)
        start += group.rows
        if len(members) > 1:
            assert group.rows <= 500_000
            sizes = [2**28 if file.size is None else file.size for file in members]  # what is not known may be large
            assert sum(sizes) <= 2**28
    for group, after in pairwise(groups):
        first = by_path[after.paths[0]]
        together = sum(by_path[path].size or 0 for path in group.paths) + (first.size or 0)
        known = first.size is not None and all(by_path[path].size is not None for path in group.paths)
        assert not known or group.rows + first.rows > 500_000 or together > 2**28, "they would have gone together"


def test_a_group_has_no_more_files_than_one_query_names() -> None:
    most = audited_files._FILES_AT_ONCE
    assert [len(group.paths) for group in group_files([AuditedFile("file", 1, 1)] * (2 * most + 1))] == [most, most, 1]
