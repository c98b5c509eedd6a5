"""Small pieces of Spark SQL, as sqlglot has them."""

from typing import Any

import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends.sql.compilers.base import NULL

SQL = Any  # an expression of sqlglot, as ibis, which is not typed, makes it

_CHEAP = (
    sge.Column, sge.Identifier, sge.Literal, sge.Var, sge.Dot, sge.Cast, sge.DataType, sge.Paren, sge.Neg, sge.Add,
    sge.Sub, sge.Mul,
)  # fmt: skip
_FEW = 16  # nodes of an expression, of which an addition of two columns has seven


def quoted(text: str) -> SQL:
    """Return a text as a literal that Spark takes as it is: `${…}` would be replaced, a backslash begins an escape."""
    written = "".join(f"\\u{ord(letter):04x}" if letter in "'\\$" or letter < " " else letter for letter in text)
    return sge.Var(this=f"'{written}'")


def null(value: SQL) -> SQL:
    return sg.condition(sge.Paren(this=value) if isinstance(value, sge.Not) else value).is_(NULL)


def present(value: SQL) -> SQL:
    return sg.not_(null(value))


def name_of(name: str) -> sge.Identifier:
    return sg.to_identifier(name)


def is_cheap(value: SQL) -> bool:
    """Return True for what costs less to compute several times than to hand to a lambda, which Spark interprets."""
    for count, node in enumerate(value.walk()):
        if count >= _FEW or not isinstance(node, _CHEAP) or isinstance(node, sge.TryCast):
            return False
    return True
