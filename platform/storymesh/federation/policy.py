"""The rules of a contract, applied: what may leave the premise of its product."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from storymesh.contract.definition import Contract
from storymesh.contract.egress_rules import STRENGTH, EgressRule, Form


@dataclass(frozen=True)
class EgressPolicy:
    """The rules under which values of a product leave its `premise`.

    `guarded`: what no rule of the contract names stays. Of a contract with rules it always is.
    """

    contract: Contract
    premise: str
    guarded: bool

    @classmethod
    def of(cls, contract: Contract, premise: str, *, guarded: bool) -> "EgressPolicy":
        """Return the policy of a product at a premise of which nothing undeclared may leave (`guarded`), or else."""
        return cls(contract, premise, guarded or contract.leaves is not None)

    def rule_for(self, column: str, to: str, purpose: str | None) -> EgressRule | None:
        """Return the rule by which a column leaves in its strongest form; None where none lets it."""
        return self.contract.leaves.best(column, to, purpose) if self.contract.leaves is not None else None

    def form_of(self, column: str, to: str, purpose: str | None) -> Form | None:
        """Return the strongest form in which a column may come to a place for a purpose; None: it stays."""
        if to == self.premise or not self.guarded:
            return "raw"
        rule = self.rule_for(column, to, purpose)
        return rule.form if rule is not None else None

    def allows(self, column: str, form: Form, to: str, purpose: str | None) -> bool:
        """Return True if a column may leave in this form, or a stronger one."""
        best = self.form_of(column, to, purpose)
        return best is not None and STRENGTH[best] >= STRENGTH[form]

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the rules, whatever else the contract says."""
        rules = self.contract.leaves.rules if self.contract.leaves is not None else ()
        written = [
            [
                sorted(rule.columns),
                rule.form,
                sorted(rule.to),
                sorted(rule.purposes),
                rule.least.model_dump() if rule.least is not None else None,
            ]
            for rule in rules
        ]
        text = json.dumps([self.contract.id, self.premise, self.guarded, written], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def refusal(policy: EgressPolicy, column: str, to: str, purpose: str | None) -> tuple[str, str]:
    """Return why a column may not go somewhere, with the location of the rule that decides, and what to do."""
    contract, rules = policy.contract, policy.contract.leaves
    best = policy.rule_for(column, to, purpose)
    about = rules.about(column) if rules is not None else ()
    if best is not None:
        words = f"it leaves {policy.premise} {best.words} only ({best.location})"
        return words, "read it otherwise, or have its owner change the rule"
    if about:
        shown = "; ".join(f"{rule.words} ({rule.location})" for rule in about[:3])
        return f"it leaves {policy.premise} {shown}, not to {to} for {purpose}", "read something else, or ask its owner"
    place = rules.location if rules is not None else contract.properties[column].location
    words = f"no rule of '{contract.id}' lets it leave {policy.premise} ({place})"
    hint = f"leave it out, or have its owner add: {{columns: [{column}], as: raw, to: [{to}], for: [{purpose}]}}"
    return words, hint
