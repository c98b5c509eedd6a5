"""The card: a header that the Hub can read whatever people wrote, and a page that no record can break out of."""

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from storymesh.release.write import write_release
from tests.support.release_builds import Told, make, usual, with_narrative

HOSTILE = (
    "x\n```\n````` tick\n---\nlicense: mit\n---\n# no heading\n| a | b |\n"
    "</details><script>alert(1)</script> $x$ {{ 7*7 }}"
)


def card_of(root: Path, told: list[Told], **options: Any) -> str:
    return (write_release(make(root, told, **options)).path / "README.md").read_text()


def header_of(card: str) -> dict[str, Any]:
    # The expression with which huggingface_hub finds the header (repocard.py).
    match = re.search(r"^(\s*---[\r\n]+)([\S\s]*?)([\r\n]+---(\r\n|\n|$))", card)
    assert match is not None
    header: dict[str, Any] = yaml.safe_load(match[2])
    return header


def outside_fences(card: str) -> str:
    """The page without its header and without what CommonMark takes for fenced code."""
    kept, fence = [], ""
    for line in card.split("\n---\n", 1)[1].splitlines():
        ticks = re.match(r" {0,3}(`{3,})([^`]*)$", line)
        if fence:
            if ticks and len(ticks[1]) >= len(fence) and not ticks[2].strip():
                fence = ""
            continue
        if ticks:
            fence = ticks[1]
            continue
        kept.append(line)
    assert not fence
    return "\n".join(kept)


def test_the_header_names_what_the_hub_asks_for_and_no_empty_split(tmp_path: Path) -> None:
    told = [
        replace(item, untold={**item.untold, "verdict": "no pair"}) for item in usual() if item.split != "validation"
    ]
    header = header_of(card_of(tmp_path, told))
    assert header["license"] == "cc-by-4.0"
    assert header["language"] == ["en"]
    assert header["pretty_name"] == "What worked"
    assert header["size_categories"] == ["n<1K"]
    assert header["task_categories"] == ["text-generation"]
    assert {
        config["config_name"]: [part["split"] for part in config["data_files"]] for config in header["configs"]
    } == {
        "report": ["train", "test"],
        "advice": ["train", "test"],
    }
    assert [entry["config_name"] for entry in header["dataset_info"]] == ["report", "advice"]
    assert header["dataset_info"][0]["splits"][0]["num_examples"] == 3


def test_huggingface_hub_reads_the_header(tmp_path: Path) -> None:
    from huggingface_hub import DatasetCard

    card = DatasetCard(card_of(tmp_path, usual()))
    assert card.data.license == "cc-by-4.0"
    assert not card.text.lstrip().startswith("---")


def test_the_page_says_what_people_ask(tmp_path: Path) -> None:
    told = [*usual(), Told("d8", datetime(2023, 5, 9), question="What about d1?", answer="other")]
    told = [replace(item, untold={**item.untold, "verdict": "no pair"}) for item in told]
    card = card_of(tmp_path, told)
    for line in (
        "| `report` | a story in hindsight, for language modelling | 4 | 1 | 1 |",
        "| `verdict` | a question with one answer and whether it was a good one (KTO) | 0 | 0 | 0 |",
        "It has no record in this release; the drops say why.",
        "| `delay` | `shipping.delays` | shipping-team@example.com | 1.0.0 | `vvvvvvvvvvvv` | 8 |",
        "- `shipment`: exactly one row, whose id is delay.shipment\\_id, from 0 days to 2 days after the case's moment",
        "| cases | shipment: none | 1 |",
        "| records of verdict | no pair | 6 |",
        "| cases with records in two splits | 0 |",
        "still open, or closing later than, 14 days before the next split begins are left out.",
        "Records with the same question and another answer, which stay: `advice` 2.",
        "> It must not be put in a public place.",
        "> `delay.hours`.",
        'train = load_dataset("path/to/this/folder", "report", split="train")',
        "| `at` | the moment at which the question is asked (UTC) | `timestamp[us]` |",
        "No property of the cast is restricted by its contract, and none is replaced by a pseudonym.",
        "storymesh trace canal-exceptions report/d1 --release 1.0.0-r1 --sql",
    ):
        assert line in card.splitlines(), line


def test_it_names_the_pseudonymised_properties(tmp_path: Path) -> None:
    build = make(tmp_path, usual())
    for contract in build.contracts.values():
        contract.properties["driver"] = SimpleNamespace(classification="restricted")
    dataset = build.narrative.dataset.model_copy(update={"pseudonymise": ("shipment.waterway",)})
    narrative = build.narrative.model_copy(update={"dataset": dataset})
    page = (write_release(with_narrative(build, narrative)).path / "README.md").read_text()
    assert "key that is in no release: `delay.driver`, `shipment.driver`, `shipment.waterway`." in page


@pytest.mark.parametrize("hostile", [HOSTILE, "`" * 40 + "\n", "\r\n```\r\n# x"])
def test_text_of_others_breaks_neither_header_nor_page(tmp_path: Path, hostile: str) -> None:
    told = [replace(item, question=hostile + item.name, answer=hostile, untold={}) for item in usual()]
    told[-1] = replace(told[-1], dropped=f"| {' '.join(hostile.split())}")  # a reason is of one line
    card = card_of(tmp_path, told, title=yaml.safe_dump(hostile, default_style='"').strip().replace("\n", "\n  "))
    header = header_of(card)
    assert header["license"] == "cc-by-4.0"
    assert header["pretty_name"] == " ".join(hostile.split())
    page = outside_fences(card)
    headings = [line for line in page.splitlines() if line.startswith("#")]
    assert headings[1:] == [
        "## Intended use",
        "## Configs",
        "### `report`",
        "### `advice`",
        "### `verdict`",
        "## How varied it is",
        "## What can be learned",
        "## How it was made",
        "## Splits",
        "## What was left out",
        "## Personal data",
        "## Limits",
        "## Trace and verify",
        "## Licence and citation",
    ]
    assert "<script>" not in page
    assert "7\\*7" in page or "7*7" not in page
    assert page.count("<details>") == page.count("</details>") == 3
    reasons = [line for line in page.splitlines() if line.startswith("| cases |")]
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in reasons] == [4, 4]


def test_a_licence_that_the_hub_does_not_know_is_other_with_its_name(tmp_path: Path) -> None:
    build = make(tmp_path, usual())
    narrative = build.narrative.model_copy(update={"license": "Our Own Terms 2"})
    header = header_of((write_release(with_narrative(build, narrative)).path / "README.md").read_text())
    assert (header["license"], header["license_name"]) == ("other", "our-own-terms-2")
