"""A page of one file that needs no network, with its style and script inside; its content security policy lets nothing
else run."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.release.report.stories import shorten

if TYPE_CHECKING:
    from jinja2 import Template

STYLE = Path(__file__).with_name("report.css")
SCRIPT = Path(__file__).with_name("report.js")


@cache
def _template(path: Path) -> "Template":
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["count"] = "{:,}".format
    environment.filters["percent"] = lambda rate: "–" if rate is None else f"{rate:.0%}"
    environment.filters["short"] = shorten
    return environment.from_string(path.read_text(encoding="utf-8"))


def render_page(template: Path, **variables: Any) -> str:
    """Return the page. Everything among the variables is escaped by the template; nothing of it becomes an attribute
    that acts, a style or a script."""
    from markupsafe import Markup

    style, script = (path.read_text(encoding="utf-8") for path in (STYLE, SCRIPT))
    return _template(template).render(
        style=Markup(style),  # noqa: S704 - a file of ours
        script=Markup(script),  # noqa: S704 - a file of ours
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
        **variables,
    )


def _csp_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
