"""The gate of a premise by itself: what it admits, what it refuses whoever checked, and what a statement reads."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import ibis
import pytest
import sqlglot
import yaml
from pydantic import ValidationError
from sqlglot import exp
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from storymesh.contract.definition import Contract
from storymesh.contract.read import read_contract
from storymesh.contract.types import arrow_schema
from storymesh.federation.gate import EgressRefused, admit
from storymesh.federation.policy import EgressPolicy
from storymesh.federation.request import ExtractRequest, columns_of

HERE = Path(__file__).parent
MESH = HERE / "guarded_mesh"
REQUESTS = yaml.load((HERE / "requests.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
WHO = {
    "narrative": "credit-aml",
    "role": "transaction",
    "product": "bank.transactions",
    "contract": "0" * 64,
    "from_premise": "eu-bank",
    "to_premise": "hq",
    "purpose": "aml",
}


def cases(kind: str) -> list[Any]:
    return [pytest.param(case, id=case["case"]) for case in REQUESTS[kind]]


@cache
def contract(name: str) -> Contract:
    return read_contract(MESH / "contracts" / f"{name.replace('.', '/')}.odcs.yaml", MESH)


def policies() -> dict[str, EgressPolicy]:
    """The product of the bank, and a table of the bank without rules."""
    transactions = contract("bank.transactions")
    return {
        "bank.transactions": EgressPolicy.of(transactions, "eu-bank", guarded=True),
        "bank.bare": EgressPolicy.of(replace(transactions, id="bank.bare", leaves=None), "eu-bank", guarded=True),
    }


def request_of(case: dict[str, Any]) -> ExtractRequest:
    """As it comes over a wire: JSON, read strictly."""
    return ExtractRequest.model_validate_json(json.dumps(WHO | case["request"], default=str))


def statement_of(request: ExtractRequest) -> str:
    """Return the SQL of what is taken of the published rows."""
    rows = ibis.table(ibis.Schema.from_pyarrow(arrow_schema(contract("bank.transactions"))), name="transactions")
    admitted = admit(request, policies()["bank.transactions"])
    return str(ibis.to_sql(admitted.expression(rows, b"the key of the mesh"), dialect="duckdb"))


def read_of_source(sql: str) -> set[str]:
    """Return the columns of the bank's table that a statement reads, with every `*` written out."""
    columns = dict.fromkeys(contract("bank.transactions").properties, "text")
    tree = qualify(sqlglot.parse_one(sql, dialect="duckdb"), schema={"transactions": columns}, dialect="duckdb")
    return {
        column.name
        for scope in traverse_scope(tree)
        for column in scope.columns
        if isinstance(source := scope.sources.get(column.table), exp.Table) and source.name == "transactions"
    }


@pytest.mark.parametrize("case", cases("allowed"))
def test_what_a_rule_allows_is_admitted_and_the_statement_reads_no_other_column(case: dict[str, Any]) -> None:
    request = request_of(case)
    if request.counted:
        admit(request, policies()["bank.transactions"])
        return
    sql = statement_of(request)
    filtered = {name for condition in request.filters for name in columns_of(condition)}
    assert read_of_source(sql) == {*request.forms} | filtered


@pytest.mark.parametrize("case", cases("refused"))
def test_the_gate_refuses_what_no_rule_allows_and_says_where_the_rules_are(case: dict[str, Any]) -> None:
    known = policies()
    with pytest.raises(EgressRefused) as refused:
        admit(request_of(case), known[case.get("table", "bank.transactions")])
    assert case["refuses"] in refused.value.message
    assert "contracts/bank/transactions.odcs.yaml" in str(refused.value)


@pytest.mark.parametrize("case", cases("unwritable"))
def test_a_request_has_no_place_for_sql(case: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        request_of(case)


def test_values_of_a_request_are_quoted_whatever_they_are() -> None:
    text = "x' or '1'='1"
    filters = [{"kind": "comparison", "column": "channel", "operator": "==", "value": text}]
    request = request_of({"request": {"columns": [{"name": "channel"}], "filters": filters}})
    sql = statement_of(request)
    assert "'x'' or ''1''=''1'" in sql
    assert len(list(sqlglot.parse_one(sql, dialect="duckdb").find_all(exp.Or))) == 0
