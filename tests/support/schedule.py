"""Which tests are slow, and, when several processes share the tests, which files go together and in which order."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.paths import TESTS

LONGEST_FIRST: tuple[tuple[str, ...], ...] = (
    ("browser/test_ui.py",),
    ("acceptance/test_reference_mesh.py",),
    ("acceptance/test_built_on.py", "acceptance/test_broken_files.py"),
    ("rewriting/test_rewritten_records.py",),
    ("acceptance/test_plain_files.py", "acceptance/test_kill.py"),
    ("orchestration/test_soak.py",),
    ("orchestration/test_automation.py",),
    ("engine/test_spark.py", "engine/test_spark_mesh.py", "engine/test_spark_language.py"),
    (
        "production/test_store.py",
        "production/test_lineage.py",
        "production/test_postgres_source.py",
        "production/test_server_kinds.py",
        "production/test_residency.py",
        "production/test_in_place.py",
        "production/test_row_selection.py",
        "production/test_source_rules.py",
        "production/test_kept_rows.py",
        "production/test_lending.py",
    ),
    ("acceptance/test_suez_2021.py",),
    ("orchestration/test_dbt_assets.py",),
    ("acceptance/test_health_supply.py",),
    (
        "provenance/test_trace.py",
        "provenance/test_origins.py",
        "provenance/test_kept_definitions.py",
        "provenance/test_trace_command.py",
    ),
    ("cli/test_commands.py",),
    ("lifecycle/test_erase.py",),
    ("release/test_write.py",),
    ("security/test_terminal.py",),
    ("orchestration/test_run.py",),
    ("security/test_no_secret_is_left.py",),
    ("orchestration/test_failures.py",),
    ("security/test_quality_sql.py",),
    ("orchestration/test_jobs.py",),
    ("case/test_links.py",),
    ("orchestration/test_unchanged_run.py",),
    ("product/test_publication_state.py",),
    ("product/test_publish_rules.py",),
    ("cli/test_json_documents.py",),
    ("acceptance/test_contract_break.py",),
    ("product/test_publish.py",),
    ("lifecycle/test_push.py",),
    ("project/test_wheel.py",),
    ("docs/test_pages.py", "docs/test_tutorial.py"),
    ("lifecycle/test_expire.py",),
    ("federation/test_egress.py",),
    ("lifecycle/test_ocel.py",),
)
"""Files that take longest, begun first and in this order, so that all processes end at about the same time. The files
of a group go to the same process, because they share what only one process can have."""

SLOW_FOLDERS = (
    "acceptance",
    "benchmarks",
    "browser",
    "lifecycle",
    "orchestration",
    "production",
    "release",
    "security",
)
SLOW_FILES = (
    "catalogue/test_in_browser.py",
    "catalogue/test_site.py",
    "case/test_parts.py",
    "case/test_snapshots.py",
    "case/test_unchanged.py",
    "contract/test_real_contracts.py",
    "dataset/test_personal_data.py",
    "dataset/test_precedent_counts.py",
    "dataset/test_random_split.py",
    "dataset/test_retrieval_metadata.py",
    "engine/test_port.py",
    "evaluation/test_evaluate.py",
    "evaluation/test_questions.py",
    "files/test_extraction.py",
    "files/test_inventory.py",
    "files/test_kill.py",
    "files/test_publish_files.py",
    "files/test_recognisers.py",
    "language/test_soundness.py",
    "language/test_templates.py",
    "mesh/test_broken_meshes.py",
    "mesh/test_schedule.py",
    "narrative/test_canary.py",
    "product/test_dbt_project.py",
    "product/test_changing_files.py",
    "product/test_iceberg_internals.py",
    "product/test_partitions.py",
    "product/test_read_back.py",
    "rewriting/test_paid_once.py",
    "scaffold/test_new_narrative.py",
    "scaffold/test_new_product.py",
    "security/test_dbt.py",
)
SLOW_FIXTURES = {
    *("counted", "loose_harbour"),
    "hostile_harbour",
    "plain_files",
    "preloaded",
    "published_mesh",
    "reference_mesh",
    "released_harbour",
    "roadside",
}
FAST = "not slow"
FAST_LIMIT_S = 20.0  # of processor time, of which a test takes the same on a busy machine

FIRST_OF_GROUP = {file: files[0] for files in LONGEST_FIRST for file in files}
absent = [name for name in [*FIRST_OF_GROUP, *SLOW_FILES, *SLOW_FOLDERS] if not (TESTS / name).exists()]
assert not absent, f"{__name__} names tests that are not there: {absent}"


def file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0].removeprefix("tests/")


def is_slow_file(file: str) -> bool:
    """Return True for a file whose tests are all slow, and for a folder of such files."""
    return file in FIRST_OF_GROUP or file in SLOW_FILES or file.partition("/")[0] in SLOW_FOLDERS


def is_slow(item: pytest.Item) -> bool:
    return is_slow_file(file_of(item.nodeid)) or not SLOW_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


class GroupScheduling(LoadScopeScheduling):
    """Whole files to each process, those of a group to the same."""

    def _split_scope(self, nodeid: str) -> str:
        file = file_of(nodeid)
        return FIRST_OF_GROUP.get(file, file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    config.option.loadscopereorder = False  # what has the most tests is not what takes longest
    return GroupScheduling(config, log)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave unread what the fast tests deselect as a whole: its imports would take longer than they do."""
    if config.option.markexpr != FAST or not collection_path.is_relative_to(TESTS):
        return None
    return is_slow_file(collection_path.relative_to(TESTS).as_posix()) or None


@pytest.hookimpl(tryfirst=True)  # before `-m` is asked
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = list(FIRST_OF_GROUP)
    items.sort(key=lambda item: order.index(file) if (file := file_of(item.nodeid)) in order else len(order))
    for item in items:
        if is_slow(item):
            item.add_marker("slow")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test that is called fast and is not."""
    began = time.process_time()
    yield
    spent = time.process_time() - began
    if item.config.option.markexpr == FAST and spent > FAST_LIMIT_S:
        pytest.fail(f"it took {spent:.0f} s of processor time: name it in {__file__}", pytrace=False)
