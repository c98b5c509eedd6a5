"""The SQL rules of a contract, parsed before any data is read: a rule that cannot run holds every snapshot back."""

from collections.abc import Iterator

from storymesh.contract.checks import checks_of
from storymesh.contract.definition import Contract
from storymesh.contract.quality_rules import SqlRule
from storymesh.contract.table_metrics import fill_placeholders
from storymesh.engine.open import rule_fault
from storymesh.engine.sql_text import quote_name
from storymesh.errors import Finding

HINT = "write one SELECT in DuckDB's SQL over {object} that gives one value"


def sql_rule_findings(contract: Contract) -> Iterator[Finding]:
    """Yield a finding, as severe as the rule, for each SQL rule that the engine does not parse."""
    for check in checks_of(contract):
        if isinstance(check.test, SqlRule):
            about = check.properties[0] if check.properties else ""
            query = fill_placeholders(quote_name, check.test.query, contract, about)
            if (fault := rule_fault(query, contract.name)) is not None:
                message = f"the SQL of the rule '{check.name}' cannot be run: {fault}"
                yield Finding(check.location, "quality-rule", message, HINT, check.severity)
