"""The plot of the table: `PYTHON_WITH_ALTAIR -m benchmarks.teaching.draw RESULTS SVG`, as that of benchmarks/page."""

import json
import sys
from pathlib import Path
from typing import Any

import altair as alt
from benchmarks.page.draw import OTHERS, OURS


def main(results: Path, svg: Path) -> None:
    rows = [_bar(row) for row in json.loads(results.read_text(encoding="utf-8"))["rows"]]
    names = [row["name"] for row in rows]
    title = "Questions whose truly best action is named, with 95 % intervals"
    base = alt.Chart(alt.Data(values=rows), title=title).encode(y=alt.Y("name:N", sort=names, title=None))
    bars = base.mark_bar().encode(
        x=alt.X("best:Q", title=None, scale=alt.Scale(domain=[0, 1])),
        color=alt.condition("datum.ours", alt.value(OURS), alt.value(OTHERS)),
    )
    intervals = base.mark_rule(color="#444").encode(x="low:Q", x2="high:Q")
    chart = alt.layer(bars, intervals).properties(width=420)
    chart.configure_view(strokeWidth=0).configure(font="sans-serif").configure_axis(labelLimit=360).save(svg)


def _bar(row: dict[str, Any]) -> dict[str, Any]:
    score = {key: row["best"][key] for key in ("low", "high")}
    name = f"{row['what']} ({row['way']})".replace("`", "")
    return {"name": name, "best": row["best"]["value"], **score, "ours": row["ours"]}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
