"""Two releases compared, as people read it on a terminal and in a pipe, and as JSON."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from storymesh.cli.output.console import console_on, open_table
from storymesh.printable import printable, shortened

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from storymesh.lifecycle.diff import ConfigDiff, RecordChange, ReleaseDiff, TextRun
    from storymesh.lifecycle.diff_causes import DiffCause

OLD, NEW = "red strike", "green"
LONG = 200  # characters: of the words around a change, and of a value of a definition


def show_diff(diff: "ReleaseDiff") -> None:
    """Print the causes, then the counts, then samples: old words are red or in [-…-], new ones green or in {+…+}."""
    console = console_on(sys.stdout)
    old, new = diff.old, diff.new
    console.print(f"{old.name} → {new.name}", style="bold")
    if diff.same:
        console.print(f"the same records and drops: digest {old.digest[:12]}")
    if diff.causes:
        console.print("\nwhy", style="bold")
    for cause in diff.causes:
        console.print(_cause_line(cause, console), soft_wrap=True)
    for note in diff.notes:
        console.print(f"  {note}", soft_wrap=True)
    if diff.configs:
        console.print()
        console.print(_count_table(diff.configs))
    for config in diff.configs:
        for change, reasons in (("gone", config.gone_to), ("added", config.added_from)):
            for reason, count in reasons.items():
                console.print(f"{config.config}: {count:,} {change}, {reason}", soft_wrap=True)
        if config.columns:
            columns = ", ".join(f"{name} {count:,}" for name, count in config.columns.items())
            console.print(f"{config.config}: changed in {columns}", soft_wrap=True)
    for config in diff.configs:
        for sample in config.samples:
            _show_sample(sample, console)


def _cause_line(cause: "DiffCause", console: "Console") -> Text:
    from storymesh.lifecycle.diff import diff_words

    line = Text(printable(f"  {cause.what} {cause.name}: "))
    if cause.old is None or cause.new is None:
        text = shortened(" / ".join((cause.old or cause.new or "").splitlines()), LONG)
        return line.append(printable(f"new, {text}" if cause.old is None else f"gone, was {text}"))
    if cause.what == "template" or max(len(cause.old), len(cause.new)) > LONG // 2:
        return line.append_text(_mark_changes(diff_words(cause.old, cause.new), console))
    return line.append(printable(f"{cause.old} → {cause.new}"))


def _count_table(configs: "Sequence[ConfigDiff]") -> "Table":
    splits = dict.fromkeys(split for config in configs for split in config.rows)
    numbers = (*splits, "added", "gone", "changed", "renewed", "same")
    table = open_table("config", *numbers, right=numbers)
    for config in configs:
        rows = [config.rows.get(split, (0, 0)) for split in splits]
        sizes = [f"{old:,}" if old == new else f"{old:,} → {new:,}" for old, new in rows]
        counts = (config.added, config.gone, config.changed, config.renewed, config.same)
        table.add_row(config.config, *sizes, *(f"{count:,}" for count in counts))
    return table


def _show_sample(sample: "RecordChange", console: "Console") -> None:
    style = {"added": "green", "gone": "red", "changed": "bold"}[sample.kind]
    console.print(f"\n── {sample.id} · {sample.kind}", style=style)
    for name, runs in sample.columns.items():
        console.print(f"[{name}]", style="dim", end=" " if name.startswith("facts.") else "\n")
        whole = sample.kind != "changed"
        console.print(shortened(runs[0].text, 3 * LONG) if whole else _mark_changes(runs, console), soft_wrap=True)


def _mark_changes(runs: "Sequence[TextRun]", console: "Console") -> Text:
    """Return the words of both; what both have is shortened to the words around a change."""
    text = Text()
    for index, run in enumerate(runs):
        if run.kind == "same":
            text.append(printable(_shorten_between(run.text, first=index == 0, last=index == len(runs) - 1)))
        elif console.is_terminal:
            text.append(printable(run.text), style=OLD if run.kind == "old" else NEW)
        else:
            text.append(printable(f"[-{run.text}-]" if run.kind == "old" else f"{{+{run.text}+}}"))
    return text


def _shorten_between(text: str, *, first: bool, last: bool) -> str:
    if len(text) <= LONG:
        return text
    before, after = ("" if first else text[: LONG // 2]), ("" if last else text[-LONG // 2 :])
    return f"{before} … {after}".strip(" ") if first or last else f"{before} … {after}"


def diff_document(diff: "ReleaseDiff") -> dict[str, object]:
    """Return what is printed as JSON: old and new (narrative, version, digest), same, causes, configs and notes.

    A cause has what, name, old and new; a config has counts, reasons and samples, whose columns are runs of words of
    the kind same, old or new.
    """
    sides: Mapping[str, object] = {
        name: {"narrative": side.narrative, "version": side.version, "digest": side.digest}
        for name, side in (("old", diff.old), ("new", diff.new))
    }
    return {**sides, "same": diff.same, "causes": diff.causes, "configs": diff.configs, "notes": diff.notes}
