"""The reference pages of docs/reference/: their prose is in docs/templates/, what is allowed comes from the code.

What a name means is written here, in one module for each page. A name that the code has and the page does not explain,
or the other way round, ends the generation with an error.
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reference_pages import commands, contract, files, language, mesh, narrative, python, readers, source

MADE = "<!-- Made from docs/templates/ and the code: run `python docs/generate.py` after a change. -->\n"
PAGES = {
    "language.md": language.page,
    "narrative.md": narrative.page,
    "contract.md": contract.page,
    "source.md": source.page,
    "readers.md": readers.page,
    "files.md": files.page,
    "mesh.md": mesh.page,
    "commands.md": commands.page,
    "python.md": python.page,
}


def pages() -> dict[str, str]:
    """Return file name -> text of each page."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
        # The pages are about Jinja, so they are filled in with other brackets.
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown
    )
    return {name: f"{MADE}{templates.get_template(name).render(page()).rstrip()}\n" for name, page in PAGES.items()}
