"""Pages that need no network, with style and script inside; their content security policy lets nothing else run."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.release.report.stories import shorten

if TYPE_CHECKING:
    from jinja2 import Template

HERE = Path(__file__).parent
STYLE = HERE / "report.css"
SCRIPT = HERE / "report.js"


@cache
def _template(path: Path) -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([path.parent, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = "{:,}".format
    environment.filters["percent"] = lambda rate: "–" if rate is None else f"{rate:.0%}"
    environment.filters["short"] = shorten
    return environment.get_template(path.name)


def render_page(template: Path, *, more: tuple[Path, ...] = (), **variables: Any) -> str:
    """Return the page. `more` are styles and scripts of ours beside those of the report.

    Everything among the variables is escaped by the template; nothing of it becomes an attribute that acts, a style or
    a script.
    """
    from markupsafe import Markup

    style, script = _read_assets((STYLE, *more), ".css"), _read_assets((SCRIPT, *more), ".js")
    return _template(template).render(
        style=Markup(style),  # noqa: S704 - files of ours
        script=Markup(script),  # noqa: S704 - files of ours
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
        **variables,
    )


@cache
def _read_assets(paths: tuple[Path, ...], suffix: str) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in paths if path.suffix == suffix)


def _csp_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
