"""Write what the documentation has from the project itself: pictures, tables, samples and the reference pages.

python docs/generate.py                           the pictures and tables, and docs/reference/
python docs/generate.py --release RELEASE         the samples of records as well, from a release of canal-exceptions
"""

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).parent))

import architecture_blocks  # noqa: E402
import reference_pages  # noqa: E402

from storymesh.mesh.mermaid import mermaid_flowchart  # noqa: E402
from storymesh.mesh.mesh import load_mesh  # noqa: E402

SAMPLE = "DLY-004579-1"
WIDTH = 118


def blocks(root: Path) -> dict[str, dict[str, str]]:
    """Return by page, and by the name of its marks, what is made from the checkout alone."""
    return {
        "README.md": {"picture": f"```mermaid\n{mermaid_flowchart(load_mesh(root))}```\n"},
        "docs/architecture.md": {
            "imports": f"```mermaid\n{architecture_blocks.import_picture()}```\n",
            "packages": architecture_blocks.package_table(root),
        },
    }


def samples(release: Path, case_id: str = SAMPLE) -> dict[str, dict[str, str]]:
    """Return by page the texts of one case of a release. Raise KeyError when the case is not there."""
    report = _record(release, "report", case_id)["text"]
    advice = _record(release, "advice", case_id)
    question, answer = (advice[column][-1]["content"] for column in ("prompt", "completion"))
    beginning = "\n".join([*answer.splitlines()[:2], "…"])
    asked = f"user:\n{shortened(question, items=1)}\nassistant:\n{shortened(beginning)}"
    return {
        "README.md": {"advice": f"```text\n{asked}```\n"},
        "docs/concepts.md": {"report": f"```text\n{shortened(report)}```\n"},
    }


def shortened(text: str, items: int = 3) -> str:
    """Return the text with wrapped lines and with at most so many items of each list."""
    lines: list[str] = []
    item = 0
    for line in text.rstrip("\n").splitlines():
        item = item + 1 if line.startswith("- ") else 0
        if item == items + 1:
            lines.append("- …")
        if item <= items:
            lines += textwrap.wrap(line, WIDTH, subsequent_indent="  " if item else "") or [""]
    return "\n".join(lines) + "\n"


def with_blocks(page: str, texts: Mapping[str, str]) -> str:
    """Return the page with each block between its marks. Raise ValueError when a mark is missing."""
    for name, block in texts.items():
        pattern = re.compile(rf"(<!-- begin: {name} .*?-->\n).*?(<!-- end: {name} -->)", re.DOTALL)
        page, count = pattern.subn(lambda marks, block=block: f"{marks[1]}{block}{marks[2]}", page)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"the page has the marks of '{name}' {count} times")
    return page


def pages() -> Iterator[tuple[Path, str]]:
    """Yield every page of the reference: its path in the project and its text."""
    for name, text in reference_pages.pages().items():
        yield Path("docs/reference") / name, text


def _record(release: Path, config: str, case_id: str) -> dict[str, Any]:
    import pyarrow.parquet as pq

    found: list[dict[str, Any]] = []
    for file in sorted((release / "data" / config).glob("*.parquet")):
        found += pq.read_table(file, filters=[("case_id", "=", case_id)]).to_pylist()
    if not found:
        raise KeyError(f"{release} has no {config} of {case_id}")
    return found[0]


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the generated parts of README.md and docs/.")
    parser.add_argument("--release", type=Path, help="a release of canal-exceptions, for the samples of records")
    options = parser.parse_args()
    for made in (blocks(ROOT), samples(options.release) if options.release else {}):
        for name, texts in made.items():
            page = ROOT / name
            page.write_text(with_blocks(page.read_text(encoding="utf-8"), texts), encoding="utf-8")
    for path, text in pages():
        (ROOT / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
