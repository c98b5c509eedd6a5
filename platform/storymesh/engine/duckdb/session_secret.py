"""The secret text of a query, such as the key of pseudonyms: a variable of the session, which no SQL spells."""

from typing import TYPE_CHECKING, Any, TypeVar

from storymesh.engine import dialect
from storymesh.engine.sql_text import quote_text

if TYPE_CHECKING:
    import duckdb
    import ibis.expr.types as ir

ExpressionType = TypeVar("ExpressionType", "ir.Table", "ir.Scalar")
SHOWN = f"getvariable('{dialect.SECRET_VARIABLE}')"


class SessionSecret:
    """The secret that the queries of one session use."""

    def __init__(self, session: "duckdb.DuckDBPyConnection") -> None:
        self._session = session
        self._secret: str | None = None

    def separated(self, expression: ExpressionType) -> ExpressionType:
        """Return an expression that reads its secret text from the session, which has it from now on."""
        node, secret = dialect.separate_secret(expression.op())
        if secret is None:
            return expression
        if secret != self._secret:
            self._session.execute(f"SET VARIABLE {dialect.SECRET_VARIABLE} = ?", [secret])
            self._secret = secret
        return node.to_expr()

    def redacted(self, value: Any) -> Any:
        """Return a part of a plan or an error, in which the engine may write variables out, without the secret."""
        match value:
            case dict():
                return {name: self.redacted(part) for name, part in value.items()}
            case list():
                return [self.redacted(part) for part in value]
            case str() if self._secret is not None:
                return value.replace(quote_text(self._secret), SHOWN).replace(self._secret, SHOWN)
            case _:
                return value
