"""Findings as text, as JSON, as annotations of GitHub, and as SARIF."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from storymesh import __version__
from storymesh.cli.output.console import pluralize
from storymesh.errors import Finding

SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


def count_findings(findings: Sequence[Finding]) -> str:
    """Return how many findings there are of each severity: '2 errors, 1 warning'."""
    if not findings:
        return "no findings"
    counts = {severity: sum(finding.severity == severity for finding in findings) for severity in ("error", "warning")}
    return ", ".join(f"{count} {severity}{'s' * (count > 1)}" for severity, count in counts.items() if count)


def describe_definitions(counts: Mapping[str, int]) -> str:
    """Return what was looked at: '3 domains, 11 products, 1 narrative'."""
    return ", ".join(pluralize(count, kind) for kind, count in counts.items() if count or kind != "scenario")


def findings_as_annotations(findings: Sequence[Finding], root: Path) -> list[str]:
    """Return a workflow command of GitHub for each finding, which shows it at its line of a change.

    https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    return [
        f"::{finding.severity} file={_property(_path_in_repository(finding, root))},line={finding.location.line},"
        f"col={finding.location.column},title={_property(finding.rule)}::{_data(_words(finding))}"
        for finding in findings
    ]


def findings_as_sarif(findings: Sequence[Finding], root: Path) -> dict[str, Any]:
    """Return a SARIF 2.1.0 log, as code scanning takes it."""
    driver = {
        "name": "storymesh",
        "version": __version__,
        "rules": [{"id": rule} for rule in sorted({finding.rule for finding in findings})],
    }
    results = [_sarif_result(finding, root) for finding in findings]
    return {"$schema": SARIF, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _sarif_result(finding: Finding, root: Path) -> dict[str, Any]:
    region = {"startLine": finding.location.line, "startColumn": finding.location.column}
    # A URI has no spaces and no signs of its own in a name.
    place = {"artifactLocation": {"uri": quote(_path_in_repository(finding, root))}, "region": region}
    return {
        "ruleId": finding.rule,
        "level": finding.severity,
        "message": {"text": _words(finding)},
        "locations": [{"physicalLocation": place}],
    }


def _words(finding: Finding) -> str:
    return f"{finding.message} ({finding.hint})" if finding.hint else finding.message


def _path_in_repository(finding: Finding, root: Path) -> str:
    """Return the path from where the repository is checked out: a mesh may be a folder of it."""
    checkout = os.environ.get("GITHUB_WORKSPACE") or Path.cwd()
    return Path(os.path.relpath(root / finding.location.path, checkout)).as_posix()


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
