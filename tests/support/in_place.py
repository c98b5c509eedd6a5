"""Leaving a product of a copied mesh on a server."""

import re
from pathlib import Path


def left_in_place(root: Path, product: str, server: str) -> None:
    """Have a product's contract leave its rows on a server, and take its file away."""
    domain, _, name = product.partition(".")
    path = root / f"contracts/{domain}/{name}.odcs.yaml"
    text = path.read_text(encoding="utf-8")
    where = re.search(r"server: (\w+)", server)
    assert where is not None
    text = text.replace("schema:\n", f"servers:\n  - {server}\nschema:\n", 1)
    named = f"customProperties:\n      - {{property: inPlace, value: {where[1]}}}\n"
    path.write_text(text.replace("customProperties:\n", named, 1), encoding="utf-8")
    path = root / f"domains/{domain}/products/{name}.odps.yaml"
    text = re.sub(r"customProperties:\n  - \{property: source.*\n", "", path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
