"""Rows as pandas frames, for the checks that pandas or Great Expectations makes."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def pandas_frame(table: "pa.Table") -> "pd.DataFrame":
    """Return a frame whose whole numbers and booleans stay such beside a null, and whose days are moments."""
    import pandas as pd
    import pyarrow as pa

    for index, column in enumerate(table.schema):
        if pa.types.is_date(column.type):
            table = table.set_column(index, column.name, table.column(index).cast(pa.timestamp("us")))
    nullable: dict[Any, Any] = {pa.bool_(): pd.BooleanDtype()}
    if any(pa.types.is_integer(one.type) and table.column(one.name).null_count for one in table.schema):
        nullable[pa.int64()] = pd.Int64Dtype()
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get, date_as_object=False)
    return frame
