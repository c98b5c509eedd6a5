"""Two releases compared, as people read it on a terminal and in a pipe, and as JSON."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from storymesh.cli.progress import console_on

if TYPE_CHECKING:
    from rich.console import Console

    from storymesh.lifecycle.diff import Cause, ConfigDiff, Diff, Sample, Words

OLD, NEW = "red strike", "green"
LONG = 200  # of the words around a change, and of a value of a definition


def show_diff(diff: "Diff") -> None:
    """Why first, then the counts, then samples: words that went are red or in [-…-], new ones green or in {+…+}."""
    console = console_on(sys.stdout)
    one, other = diff.old, diff.new
    console.print(f"{one.narrative} {one.version} → {other.narrative} {other.version}", style="bold", highlight=False)
    if diff.same:
        console.print(f"the same records and drops: digest {one.digest[:12]}", highlight=False)
    if diff.causes:
        console.print("\nwhy", style="bold")
    for cause in diff.causes:
        console.print(_cause(cause, console), soft_wrap=True)
    for note in diff.notes:
        console.print(Text(f"  {note}"), soft_wrap=True)
    if diff.configs:
        console.print()
        console.print(_counts(diff.configs))
    for config in diff.configs:
        for words, reasons in (("gone", config.gone_to), ("added", config.added_from)):
            for reason, count in reasons.items():
                console.print(Text(f"{config.config}: {count:,} {words}, {reason}"), soft_wrap=True)
        if config.columns:
            told = ", ".join(f"{name} {count:,}" for name, count in config.columns.items())
            console.print(Text(f"{config.config}: changed in {told}"), soft_wrap=True)
    for config in diff.configs:
        for sample in config.samples:
            _show_sample(sample, console)


def _cause(cause: "Cause", console: "Console") -> Text:
    from storymesh.lifecycle.diff import words

    line = Text(f"  {cause.what} {cause.name}: ")
    if cause.old is None or cause.new is None:
        told = _cut(" / ".join((cause.old or cause.new or "").splitlines()), LONG)
        return line.append(f"new, {told}" if cause.old is None else f"gone, was {told}")
    if cause.what == "template" or max(len(cause.old), len(cause.new)) > LONG // 2:
        return line.append_text(_marked(words(cause.old, cause.new), console))
    return line.append(f"{cause.old} → {cause.new}")


def _counts(configs: "Sequence[ConfigDiff]") -> Table:
    table = Table("config", box=None, pad_edge=False, header_style="bold")
    splits = dict.fromkeys(split for config in configs for split in config.rows)
    for name in (*splits, "added", "gone", "changed", "renewed", "same"):
        table.add_column(name, justify="right")
    for config in configs:
        rows = [config.rows.get(split, (0, 0)) for split in splits]
        told = [f"{old:,}" if old == new else f"{old:,} → {new:,}" for old, new in rows]
        counts = (config.added, config.gone, config.changed, config.renewed, config.same)
        table.add_row(config.config, *told, *(f"{count:,}" for count in counts))
    return table


def _show_sample(sample: "Sample", console: "Console") -> None:
    style = {"added": "green", "gone": "red", "changed": "bold"}[sample.kind]
    console.print(f"\n── {sample.id} · {sample.kind}", style=style, highlight=False, markup=False)
    for name, words in sample.columns.items():
        console.print(Text(f"[{name}]", style="dim"), end=" " if name.startswith("facts.") else "\n")
        whole = sample.kind != "changed"
        console.print(Text(_cut(words[0].text, 3 * LONG)) if whole else _marked(words, console), soft_wrap=True)


def _marked(words: "Sequence[Words]", console: "Console") -> Text:
    """The words of both, with long stretches that both have shortened to what stands around a change."""
    text = Text()
    for place, run in enumerate(words):
        if run.kind == "same":
            text.append(_between(run.text, first=place == 0, last=place == len(words) - 1))
        elif console.is_terminal:
            text.append(run.text, style=OLD if run.kind == "old" else NEW)
        else:
            text.append(f"[-{run.text}-]" if run.kind == "old" else f"{{+{run.text}+}}")
    return text


def _between(text: str, *, first: bool, last: bool) -> str:
    if len(text) <= LONG:
        return text
    before, after = ("" if first else text[: LONG // 2]), ("" if last else text[-LONG // 2 :])
    return f"{before} … {after}".strip(" ") if first or last else f"{before} … {after}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}…"


def diff_as_json(diff: "Diff") -> str:
    """An object: old and new (narrative, version, digest), same, causes (what, name, old, new), configs (counts,
    reasons and samples, whose columns are runs of words of the kind same, old or new) and notes."""
    sides: Mapping[str, object] = {
        name: {"narrative": one.narrative, "version": one.version, "digest": one.digest}
        for name, one in (("old", diff.old), ("new", diff.new))
    }
    told = {
        **sides,
        "same": diff.same,
        "causes": [asdict(cause) for cause in diff.causes],
        "configs": [asdict(config) for config in diff.configs],
        "notes": list(diff.notes),
    }
    return json.dumps(told, indent=2, ensure_ascii=False)
