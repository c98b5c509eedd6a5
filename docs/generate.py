"""Writes what the documentation has from the project itself: the picture, the samples and the reference pages.

python docs/generate.py                           the picture in README.md and docs/reference/
python docs/generate.py --release RELEASE         the samples in README.md as well, from a release
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

import reference_pages  # noqa: E402

from storymesh.mesh.mermaid import picture  # noqa: E402
from storymesh.mesh.mesh import load_mesh  # noqa: E402

SAMPLE = "DLY-004579-1"
WIDTH = 110
LIST_ITEMS = 3


def blocks(root: Path) -> dict[str, str]:
    """What stands between the marks of README.md, by name, but the samples."""
    return {"picture": f"```mermaid\n{picture(load_mesh(root))}```\n"}


def samples(release: Path, case_id: str = SAMPLE) -> dict[str, str]:
    """The report and the advice of one case of a release, as text blocks. Raises KeyError when it is not there."""
    report = _record(release, "report", case_id)["text"]
    _, question, answer = (message["content"] for message in _record(release, "advice", case_id)["messages"])
    asked = f"user:\n{shortened(question)}\nassistant:\n{shortened(answer)}"
    return {"report": f"```text\n{shortened(report)}```\n", "advice": f"```text\n{asked}```\n"}


def shortened(text: str) -> str:
    """The text with wrapped lines and with at most three items of each list."""
    lines: list[str] = []
    items = 0
    for line in text.rstrip("\n").splitlines():
        items = items + 1 if line.startswith("- ") else 0
        if items == LIST_ITEMS + 1:
            lines.append("- …")
        if items <= LIST_ITEMS:
            lines += textwrap.wrap(line, WIDTH, subsequent_indent="  " if items else "") or [""]
    return "\n".join(lines) + "\n"


def with_blocks(page: str, made: Mapping[str, str]) -> str:
    """The page with each of the blocks between its marks. Raises ValueError when a mark is missing."""
    for name, block in made.items():
        pattern = re.compile(rf"(<!-- begin: {name} .*?-->\n).*?(<!-- end: {name} -->)", re.DOTALL)
        page, count = pattern.subn(lambda met, block=block: f"{met[1]}{block}{met[2]}", page)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"the page has the marks of '{name}' {count} times")
    return page


def pages() -> Iterator[tuple[Path, str]]:
    """Every page of the reference: its path in the project and its text."""
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
    parser.add_argument("--release", type=Path, help="a release of canal-exceptions, for the samples of README.md")
    options = parser.parse_args()
    made = blocks(ROOT) | (samples(options.release) if options.release else {})
    page = ROOT / "README.md"
    page.write_text(with_blocks(page.read_text(encoding="utf-8"), made), encoding="utf-8")
    for path, text in pages():
        (ROOT / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
