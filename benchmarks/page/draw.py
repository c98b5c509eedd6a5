"""The plot of the page: `PYTHON_WITH_ALTAIR -m benchmarks.page.draw FIGURES SVG`.

Altair is what the lock pins; what makes an SVG of its charts comes from an environment of its own.
"""

import json
import sys
from pathlib import Path
from typing import Any

import altair as alt

OURS, OTHERS, RELEASED = "#1f6f8b", "#b8c4cc", "#e07a3f"


def main(figures: Path, svg: Path) -> None:
    given = json.loads(figures.read_text(encoding="utf-8"))
    charts = [chart for chart in (_programs(given["programs"]), _ratios(given["narratives"])) if chart is not None]
    alt.vconcat(*charts, spacing=30).configure_view(strokeWidth=0).configure(font="sans-serif").save(svg)


def _programs(programs: list[dict[str, Any]]) -> "alt.LayerChart | None":
    if not programs:
        return None
    rows = [{"program": row["name"], "cpu": row["cpu"], "ours": row["name"] == "storymesh"} for row in programs]
    bars = alt.Chart(alt.Data(values=rows), title="Same records out: CPU seconds (less is better)").encode(
        x=alt.X("cpu:Q", title=None, axis=alt.Axis(grid=False)),
        y=alt.Y("program:N", sort=[row["name"] for row in programs], title=None),
        color=alt.condition("datum.ours", alt.value(OURS), alt.value(OTHERS)),
    )
    labels = (
        alt.Chart(alt.Data(values=rows))
        .mark_text(align="left", dx=4)
        .encode(
            x="cpu:Q",
            y=alt.Y("program:N", sort=[row["name"] for row in programs]),
            text=alt.Text("cpu:Q", format=".1f"),
        )
    )
    return alt.layer(bars.mark_bar(), labels).properties(width=520)


def _ratios(narratives: list[dict[str, Any]]) -> "alt.LayerChart | None":
    if not narratives:
        return None
    rows = [
        {"what": what, "ratio": row["ours" if what == "released" else "told"] / row["bare"]}
        for row in narratives
        for what in ("told", "released")
    ]
    title = f"{len(narratives)} drawn narratives: CPU seconds to those of bare SQL; the bar is the median"
    x = alt.X("ratio:Q", title="times bare SQL", scale=alt.Scale(zero=True))
    y = alt.Y("what:N", sort=["told", "released"], title=None)
    base = alt.Chart(alt.Data(values=rows), title=title)
    color = alt.Color("what:N", scale=alt.Scale(domain=["told", "released"], range=[OURS, RELEASED]), legend=None)
    points = base.mark_circle(size=60, opacity=0.6).encode(x=x, y=y, color=color)
    medians = base.mark_tick(thickness=3, size=28).encode(x=alt.X("median(ratio):Q"), y=y, color=color)
    equal = alt.Chart(alt.Data(values=[{"ratio": 1}])).mark_rule(strokeDash=[4, 4], color="#888").encode(x="ratio:Q")
    return alt.layer(equal, points, medians).properties(width=520, height=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
