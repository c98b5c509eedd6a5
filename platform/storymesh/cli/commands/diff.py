"""`storymesh diff`: two releases compared."""

from typing import Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, ReleaseArgument
from storymesh.cli.output.json_document import echo_result


def diff(
    old: ReleaseArgument,
    new: Annotated[str | None, typer.Argument(metavar="RELEASE", help="Default: the one after it.")] = None,
    mesh: MeshOption = None,
    config: Annotated[str | None, typer.Option("--config", metavar="NAME", help="Compare one config alone.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="How many records a config to show.")] = 3,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Compare two releases, and say why they differ.

    Records are compared one by one.
    """
    from storymesh.cli.output.diff import diff_document, show_diff
    from storymesh.engine.open import open_engine
    from storymesh.lifecycle.diff import compare_releases
    from storymesh.mesh.lookup import named_release, next_release

    earlier = named_release(old, mesh)
    later = named_release(new, mesh) if new else next_release(earlier)
    found = compare_releases(earlier, later, open_engine, limit, config)
    if format == "json":
        echo_result(diff_document(found))
    else:
        show_diff(found)
