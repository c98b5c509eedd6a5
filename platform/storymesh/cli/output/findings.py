"""Findings as text and as JSON."""

import json
from collections.abc import Sequence

from storymesh.errors import Finding


def findings_as_json(findings: Sequence[Finding]) -> str:
    """Return a JSON list of objects: path, line, column, severity, rule, words, hint."""
    return json.dumps(
        [
            {
                "path": finding.location.path,
                "line": finding.location.line,
                "column": finding.location.column,
                "severity": finding.severity,
                "rule": finding.rule,
                "words": finding.message,
                "hint": finding.hint,
            }
            for finding in findings
        ],
        indent=2,
        ensure_ascii=False,
    )


def count_findings(findings: Sequence[Finding]) -> str:
    """Return how many findings there are of each severity: '2 errors, 1 warning'."""
    if not findings:
        return "no findings"
    counts = {severity: sum(finding.severity == severity for finding in findings) for severity in ("error", "warning")}
    return ", ".join(f"{count} {severity}{'s' * (count > 1)}" for severity, count in counts.items() if count)
