"""What docs/architecture.md shows of the packages: how they import each other, and what each one says it holds."""

import tomllib
from importlib import import_module
from pathlib import Path

import grimp
import networkx

PACKAGE = "storymesh"
GROUND = "ground"
"""What the picture calls the modules that are files beside the packages: each of these stands on some."""


def import_picture() -> str:
    """Return a Mermaid flowchart of the packages. An arrow leads from a package to one that it imports.

    An arrow that a longer way makes superfluous is left out: where A imports B and B imports C, A may import C as well.
    The modules that are single files are one: what is below them all is no news of any.
    """
    graph, folder = import_graph(), Path(import_module(PACKAGE).__path__[0])
    files = {name: GROUND for name in graph if not (folder / name).is_dir()}
    packages = networkx.relabel_nodes(graph, files)
    packages.remove_edges_from(list(networkx.selfloop_edges(packages)))
    imports = networkx.transitive_reduction(packages)
    lines = [f"  {importer} --> {imported}" for importer, imported in sorted(imports.edges)]
    return "\n".join(["flowchart TD", *lines]) + "\n"


def import_graph() -> networkx.DiGraph:
    """Return the packages and modules at the top of `storymesh`, with an edge from each to all that it imports."""
    modules = grimp.build_graph(PACKAGE, cache_dir=None)
    graph = networkx.DiGraph()
    for importer in modules.modules:
        for imported in modules.find_modules_directly_imported_by(importer):
            if importer != PACKAGE != imported and (edge := (_top(importer), _top(imported)))[0] != edge[1]:
                graph.add_edge(*edge)
    return graph


def package_table(root: Path) -> str:
    """Return a Markdown table of the packages, highest layer first, each with the first sentence of its docstring."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (contract for contract in settings["tool"]["importlinter"]["contracts"] if contract["id"] == "layers")
    lines = ["| package | what is in it |", "| --- | --- |"]
    for name in contract["layers"]:
        words = " ".join((import_module(f"{PACKAGE}.{name}").__doc__ or "").split())
        lines.append(f"| `{name}` | {words.partition('. ')[0].rstrip('.')} |")
    return "\n".join(lines) + "\n"


def _top(module: str) -> str:
    return module.split(".")[1]
