"""A mesh as a diagram: domains and their products, the narratives that cast them, and what is released.

The text is a Mermaid flowchart, which GitHub and many editors draw. `python -m storymesh.mesh.mermaid [DIR]` prints it.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from storymesh.errors import StorymeshError
from storymesh.mesh.mesh import Mesh, find_root, load_mesh
from storymesh.narrative.definition import Narrative

# What Mermaid or the browser would read as markup, as https://mermaid.js.org/syntax/flowchart.html#entity-codes-to-escape-characters
# has it.
_ESCAPED = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;"}


def mermaid_flowchart(mesh: Mesh) -> str:
    """Return the mesh as a Mermaid flowchart, one statement a line, the same for the same mesh.

    A domain is a group, an arrow from product to product an input port, an arrow into a narrative a role of its cast
    (a thick one its anchor), and behind each narrative stands its dataset with the names of its configs.
    """
    products = _names(mesh.products)
    lines = ["flowchart LR"]
    domains = _names(mesh.domains)
    for domain in mesh.domains:
        lines.append(f'  subgraph domain_{domains[domain]}["{_text(mesh.domains[domain].title)}"]')
        lines += [f'    {products[product.id]}["{_text(product.name)}"]' for product in mesh.products_of(domain)]
        lines.append("  end")
    for product in mesh.products.values():
        lines += [f"  {products[port.contract_id]} --> {products[product.id]}" for port in product.inputs]
    narratives = _names(mesh.narratives)
    for narrative in mesh.narratives.values():
        lines += _narrative(narrative, narratives[narrative.id], products)
    return "\n".join(lines) + "\n"


def _narrative(narrative: Narrative, name: str, products: Mapping[str, str]) -> Iterator[str]:
    yield f'  narrative_{name}(["{_text(narrative.title)}"])'
    yield f'  dataset_{name}[("{_text(narrative.id)} {narrative.version}<br>{_text(", ".join(narrative.records))}")]'
    for role, member in narrative.cast.items():
        arrow = "==>" if role == narrative.case.anchor else "-->"
        yield f'  {products[member.product]} {arrow}|"{_text(role)}"| narrative_{name}'
    yield f"  narrative_{name} --> dataset_{name}"


def _names(ids: Iterable[str]) -> dict[str, str]:
    """Return a unique name for each id, of letters, digits and `_`, which is what Mermaid allows."""
    names: dict[str, str] = {}
    for id_ in ids:
        name = re.sub(r"[^A-Za-z0-9]", "_", id_)
        while name in names.values():
            name += "_"
        names[id_] = name
    return names


def _text(text: str) -> str:
    return "".join(_ESCAPED.get(letter, letter) for letter in " ".join(text.split()))


def main(arguments: list[str]) -> int:
    """Print the diagram of the mesh at or above the folder named (default: this one). Returns the exit code."""
    if len(arguments) > 1:
        print("usage: python -m storymesh.mesh.mermaid [DIR]", file=sys.stderr)
        return 2
    try:
        print(mermaid_flowchart(load_mesh(find_root(Path(arguments[0] if arguments else ".")))), end="")
    except StorymeshError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
