"""Where time and memory of a narrative's release go: the release of a sample is made once, and every step measured.

It is written as any other, into a folder that goes again. Nobody's release, build or model is touched.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.case.resolve import Role
from storymesh.dataset.build import Build
from storymesh.dataset.cases import linked_cases
from storymesh.dataset.sample import sample_build
from storymesh.dataset.stages import StageResult, write_cases, write_precedents, write_records
from storymesh.dataset.template_profile import ConfigCost, profile_templates
from storymesh.engine.engine import Engine
from storymesh.errors import NotPublished
from storymesh.provenance.plan_steps import seconds_by_link
from storymesh.provenance.trace import Tracer
from storymesh.release.catalog import Release
from storymesh.release.profile_hints import Hint, RoleCost, find_hints
from storymesh.release.refusal import ReleaseRefused
from storymesh.release.write import write_release_again
from storymesh.temporary_folder import temporary_folder

if TYPE_CHECKING:
    import ibis.expr.types as ir

_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_PEAK_ALONE = "5"  # what Linux forgets of a process when this is written to the first of these files


@dataclass(frozen=True)
class StepCost:
    """The cost of one step. `peak_bytes` is the most memory of the whole process during it, None where the system does
    not say; `rows_in` and `rows_out` are None where a step makes no rows."""

    step: str
    config: str
    cpu_seconds: float
    peak_bytes: int | None
    rows_in: int | None = None
    rows_out: int | None = None


class StepMeter:
    """Measures steps, which do not overlap: `steps` are those that have ended, in their order."""

    def __init__(self) -> None:
        self.steps: list[StepCost] = []

    @contextmanager
    def measure(self, step: str, config: str = "") -> Iterator[None]:
        """Note what is done inside as one step."""
        watched, began = _forget_peak(), time.process_time()
        yield
        taken = time.process_time() - began
        self.steps.append(StepCost(step, config, taken, _peak_bytes() if watched else None))


def _forget_peak() -> bool:
    """Have the system watch the memory from here on. Return False where it does not."""
    try:
        _RESET.write_text(_PEAK_ALONE, encoding="ascii")
    except OSError:
        return False
    return True


def _peak_bytes() -> int | None:
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


@dataclass(frozen=True)
class ReleaseProfile:
    """What the release of a sample took: `cases` of the `all_cases` of its anchor. `refused` says why it was not
    written to its end; `rewritten` are the configs whose language model was not asked; `cluster`: the mesh makes its
    cases and records on another engine than the one that was measured."""

    narrative: str
    cases: int
    all_cases: int
    cpu_seconds: float
    steps: tuple[StepCost, ...]
    roles: tuple[RoleCost, ...]
    templates: tuple[ConfigCost, ...]
    hints: tuple[Hint, ...]
    refused: str | None
    rewritten: tuple[str, ...]
    cluster: bool


def profile_release(build: Build, cases: int | None) -> ReleaseProfile:
    """Return what a release of about so many cases takes (None: of all). Raises NotPublished where there is no row."""
    anchor = build.snapshots[build.typed.cast.anchor.name]
    if anchor.rows == 0:
        raise NotPublished(f"{anchor.product} has no rows, so there is nothing to measure", "publish some")
    with temporary_folder("profile", build.store) as folder:
        return _Profiler(build, sample_build(_without_models(build), cases, folder), folder).profile()


def _without_models(build: Build) -> Build:
    """Return the build with the texts of the templates where a language model would rewrite them."""
    typed = build.typed
    plain = {
        config: record.model_copy(update={"narrator": None}) if typed.records[config].rewritten else record
        for config, record in build.narrative.records.items()
    }
    records = {config: replace(record, rewritten=()) for config, record in typed.records.items()}
    narrative = build.narrative.model_copy(update={"records": plain})
    return replace(build, typed=replace(typed, narrative=narrative, records=records))


class _Profiler:
    """One run over the sample `build`; `whole` is the build that it is a sample of."""

    def __init__(self, whole: Build, build: Build, folder: Path) -> None:
        self.whole = whole
        self.build = build
        self.folder = folder
        self.meter = StepMeter()
        self.rows: dict[tuple[str, str], tuple[int | None, int | None]] = {}

    def profile(self) -> ReleaseProfile:
        _import_what_is_measured()
        anchor = self.build.typed.cast.anchor.name
        cases = self._stage("cases", "", write_cases, self.build.snapshots[anchor].rows)
        if self.build.narrative.case.precedents is not None:
            self._stage("precedents", "", write_precedents, cases.rows)
        told = {
            config: self._stage("telling", config, partial(write_records, config=config), cases.rows)
            for config in self.build.configs
        }
        refused = self._release({config: result.rows for config, result in told.items()})
        with self.build.open_engine() as engine:
            roles = tuple(self._roles(engine))
            templates = tuple(profile_templates(self.build, engine, config) for config in self.build.configs)
        return ReleaseProfile(
            narrative=self.build.narrative.id,
            cases=self.build.snapshots[anchor].rows,
            all_cases=self.whole.snapshots[anchor].rows,
            cpu_seconds=sum(step.cpu_seconds for step in self.meter.steps),
            steps=tuple(self._with_rows(step) for step in self.meter.steps),
            roles=roles,
            templates=templates,
            hints=tuple(find_hints(roles, templates)),
            refused=refused,
            rewritten=tuple(config for config, record in self.whole.typed.records.items() if record.rewritten),
            cluster=self.whole.open_cluster is not None,
        )

    def _stage(self, step: str, config: str, write: Callable[[Build], StageResult], rows_in: int) -> StageResult:
        with self.meter.measure(step, config):
            result = write(self.build)
        self.rows[step, config] = rows_in, result.rows
        return result

    def _with_rows(self, step: StepCost) -> StepCost:
        rows_in, rows_out = self.rows.get((step.step, step.config), (None, None))
        return replace(step, rows_in=rows_in, rows_out=rows_out)

    def _release(self, told: Mapping[str, int]) -> str | None:
        """Write the release. Return why it was refused, None where it was not."""
        version = f"{self.build.narrative.version}-r1"
        try:
            release = write_release_again(
                self.build,
                self.folder / version,
                version,
                open_tracer=partial(Tracer, self.build),
                observe=self.meter.measure,
            )
        except ReleaseRefused as error:
            return error.message
        self._note_rows(told, release)
        return None

    def _note_rows(self, told: Mapping[str, int], release: Release) -> None:
        kept = {config: sum(splits.values()) for config, splits in release.manifest.configs.items()}
        for config, rows in told.items():
            self.rows["duplicates", config] = rows, kept.get(config, 0)
            self.rows["files and digest", config] = kept.get(config, 0), kept.get(config, 0)
        self.rows["certificate", ""] = sum(kept.values()), None

    def _roles(self, engine: Engine) -> Iterable[RoleCost]:
        build = self.build
        cases = engine.read_parquet(build.files.cases)
        roles = [role for role in build.typed.cast.roles.values() if role.link is not None]
        counts = {role.name: _row_count(cases, role) for role in roles}
        values: dict[str, ir.Value] = {"rows": cases.count()}
        for name, count in counts.items():
            values |= {f"sum_{name}": count.sum(), f"mean_{name}": count.mean(), f"max_{name}": count.max()}
        (figures,) = engine.fetch_rows(cases.aggregate(**values))
        seconds = seconds_by_link(engine.profile_plan(linked_cases(build, engine)), build)
        sizes = _column_bytes(build.files.cases)
        for role in roles:
            size = sizes.get(role.column, 0)
            yield RoleCost(
                role=role.name,
                product=build.snapshots[role.name].product,
                listed=role.listed,
                seconds=seconds.get(role.name, 0.0),
                rows_in=build.snapshots[role.name].rows,
                rows_out=int(figures[f"sum_{role.name}"] or 0),
                mean=float(figures[f"mean_{role.name}"] or 0.0),
                most=int(figures[f"max_{role.name}"] or 0),
                properties=len(build.typed.columns[role.name]),
                bytes_of_case=size / max(figures["rows"], 1),
                share=size / max(sum(sizes.values()), 1),
            )


def _row_count(cases: "ir.Table", role: Role) -> "ir.IntegerValue":
    from storymesh.case.link import rows_in_hindsight

    value = cases[role.column]
    return rows_in_hindsight(role, value).length() if role.listed else value.notnull().cast("int64")


def _column_bytes(path: Path) -> dict[str, int]:
    """Return the bytes of each column of a Parquet file, before it is compressed."""
    import pyarrow.parquet as pq

    sizes: dict[str, int] = {}
    metadata = pq.read_metadata(path)
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            name = column.path_in_schema.partition(".")[0]
            sizes[name] = sizes.get(name, 0) + column.total_uncompressed_size
    return sizes


def _import_what_is_measured() -> None:
    """Import what steps import where they need it, so that no step is charged for it."""
    import storymesh.dataset.render
    import storymesh.release.assemble
    import storymesh.release.card
    import storymesh.release.croissant
    import storymesh.release.report  # noqa: F401
