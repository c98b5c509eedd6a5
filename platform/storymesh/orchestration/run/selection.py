"""Which part of the mesh a run makes, in the words of dbt's selection: domains, products and narratives by name, by a
pattern or by a tag, with what they are built on or what is built on them.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from storymesh.errors import WrongUsage, suggest_name
from storymesh.mesh.mesh import Mesh
from storymesh.product.definition import Product

FindManifest = Callable[[str], Mapping[str, Any] | None]
_WORD = re.compile(r"(?P<upstream>\+?)(?P<name>[^+\s]+)(?P<downstream>\+?)")
_TAG = "tag:"
_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class RunTerm:
    """A part of a mesh, by ids: whole `domains` with all their models, `products` with the models of their own domain,
    and `narratives`; `upstream` is with what they are built on, `downstream` with what is built on them."""

    domains: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    narratives: tuple[str, ...] = ()
    upstream: bool = False
    downstream: bool = False
    excluded: bool = False


@dataclass(frozen=True)
class RunParts:
    """The selection that the terms of a run make: the domains whose dbt models are built, and the ids of what is
    made."""

    domains: tuple[str, ...]
    products: tuple[str, ...]
    narratives: tuple[str, ...]


def narrative_term(narrative: str, *, upstream: bool) -> RunTerm:
    """Return the term of one narrative, with all that it is built on or alone."""
    return RunTerm(narratives=(narrative,), upstream=upstream)


def read_terms(
    mesh: Mesh,
    words: Iterable[str],
    excluded: Iterable[str] = (),
    *,
    upstream: bool = False,
    downstream: bool = False,
    only: bool = False,
) -> list[RunTerm]:
    """Return the terms that `words` name, in order, and those that are left out again; none stand for the whole mesh.

    A narrative comes with all that it is built on, but not with `only`. Raises WrongUsage for a word that names
    nothing, with the nearest name, and for options that want what is not there.
    """
    terms: list[RunTerm] = []
    for word in (part for text in words for part in text.split()):
        found = _read_word(mesh, word)
        with_upstream = found.upstream or upstream or (bool(found.narratives) and not only)
        terms.append(replace(found, upstream=with_upstream, downstream=found.downstream or downstream))
    if only and not any(term.narratives for term in terms):
        raise WrongUsage("--only needs the name of a narrative", suggest_name("", mesh.narratives))
    if only and upstream:
        raise WrongUsage("--only leaves out what --upstream asks for", "give one of the two")
    if (upstream or downstream) and not terms:
        raise WrongUsage("--upstream and --downstream need a name", "without one the whole mesh is run")
    left_out = [_read_word(mesh, part) for text in excluded for part in text.split()]
    if left_out and not terms:
        terms = [RunTerm(tuple(mesh.domains), (), tuple(mesh.narratives))]
    return [*terms, *(replace(term, excluded=True) for term in left_out)]


def _read_word(mesh: Mesh, word: str) -> RunTerm:
    match = _WORD.fullmatch(word)
    if match is None:
        raise WrongUsage(f"'{word}' is no selection", "NAME, +NAME with what it is built on, NAME+ with what reads it")
    named = _read_name(mesh, match["name"])
    return replace(named, upstream=bool(match["upstream"]), downstream=bool(match["downstream"]))


def _read_name(mesh: Mesh, name: str) -> RunTerm:
    if name.startswith(_TAG):
        return RunTerm(products=_tagged(mesh, name.removeprefix(_TAG)))
    if _PATTERN.search(name):
        domains, products = _matching(mesh.domains, name), _matching(mesh.products, name)
        narratives = _matching(mesh.narratives, name)
        if not (domains or products or narratives):
            raise WrongUsage(f"'{name}' fits no domain, product or narrative", suggest_name(name, _names(mesh)))
        return RunTerm(domains, products, narratives)
    if name in mesh.domains:
        return RunTerm(domains=(name,))
    if name in mesh.products:
        return RunTerm(products=(name,))
    narrative = name.replace("_", "-")
    if narrative not in mesh.narratives:
        message = f"there is no domain, product or narrative '{name}'"
        raise WrongUsage(message, suggest_name(name, _names(mesh)))
    return RunTerm(narratives=(narrative,))


def _tagged(mesh: Mesh, tag: str) -> tuple[str, ...]:
    found = tuple(product.id for product in mesh.products.values() if tag in product.tags)
    if not found:
        tags = {tag for product in mesh.products.values() for tag in product.tags}
        raise WrongUsage(f"no product has the tag '{tag}'", suggest_name(tag, tags))
    return found


def _matching(names: Iterable[str], pattern: str) -> tuple[str, ...]:
    return tuple(name for name in names if fnmatchcase(name, pattern))


def _names(mesh: Mesh) -> list[str]:
    return [*mesh.domains, *mesh.products, *mesh.narratives]


def resolve_terms(mesh: Mesh, terms: Sequence[RunTerm], find_manifest: FindManifest) -> RunParts:
    """Return what the terms come to, as Dagster would find it by its graph of assets: without Dagster, for whoever asks
    whether there is anything to do."""
    if not terms:
        return RunParts(tuple(mesh.domains), tuple(mesh.products), tuple(mesh.narratives))
    inputs = {product.id: _inputs_of(mesh, product, find_manifest) for product in mesh.products.values()}
    inputs |= {
        narrative.id: frozenset(member.product for member in narrative.cast.values())
        for narrative in mesh.narratives.values()
    }
    made: set[str] = set()
    whole: set[str] = set()
    for term in terms:
        named = {*term.products, *term.narratives}
        named |= {product.id for domain in term.domains for product in mesh.products_of(domain)}
        reached = set(named)
        if term.upstream:
            reached |= _closure(named, inputs)
        if term.downstream:
            reached |= {name for name in inputs if named & _closure({name}, inputs)}
        made = made - reached if term.excluded else made | reached
        whole = whole - set(term.domains) if term.excluded else whole | set(term.domains)
    products = tuple(product for product in mesh.products if product in made)
    built = whole | {item.domain for item in map(mesh.product, products) if item.is_model}
    domains = tuple(domain for domain in mesh.domains if domain in built)
    return RunParts(domains, products, tuple(narrative for narrative in mesh.narratives if narrative in made))


def _closure(names: Iterable[str], inputs: Mapping[str, frozenset[str]]) -> set[str]:
    """Return what `names` are built on, at any distance."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        new = inputs.get(waiting.pop(), frozenset()) - found
        found |= new
        waiting += new
    return found


def _inputs_of(mesh: Mesh, product: Product, find_manifest: FindManifest) -> frozenset[str]:
    """Return the products that a product is made from: of a domain's models, dbt knows which of them reads what."""
    manifest = find_manifest(product.domain) if product.is_model else None
    if manifest is None:
        return frozenset(port.contract_id for port in product.inputs if port.contract_id in mesh.products)
    nodes, sources = manifest["nodes"], manifest["sources"]
    models = [id_ for id_, node in nodes.items() if node["resource_type"] == "model" and node["name"] == product.name]
    parents = {id_: frozenset(node.get("depends_on", {}).get("nodes", ())) for id_, node in nodes.items()}
    read = (sources[id_] for id_ in _closure(models, parents) if id_ in sources)
    return frozenset(f"{item['source_name']}.{item['name']}" for item in read) & mesh.products.keys()
