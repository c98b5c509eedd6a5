"""Which of several templates of the same meaning a case draws: rendezvous hashing, by the case's id and their names.

A case has one of SLOTS slots, by the MD5 of its id. For each slot the names are ranked by digests of their own, and the
first is drawn. So a new template takes its share from all others alike and moves nothing else, one that is removed
leaves its share to the others, and the words of a template decide nothing. An engine takes one digest a case, however
many templates there are: it looks the slot up in a table that is written here.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from storymesh.language.ast import Draw, Include, Template

SLOTS = 4_096
MAX_VARIANTS = 255  # beside the original: a table has two hex digits for each slot


def draw_between(original: Template, variants: Sequence[Template]) -> Template:
    """Return a typed template that tells each case by one of these typed templates; the original alone, as it is."""
    if not variants:
        return original
    at = original.at
    includes = tuple(Include(at, template.name, template) for template in (original, *variants))
    return Template(original.name, original.path, (Draw(at, f"{original.name}:variants", includes),))


def drawn_template(case_id: str, place: str, names: tuple[str, ...]) -> int:
    """Return the index of the name that a case draws at a place."""
    digest = hashlib.md5(slot_text(case_id, place).encode(), usedforsecurity=False).hexdigest()
    slot = int(digest[:8], 16) % SLOTS
    return int(draw_table(names)[2 * slot : 2 * slot + 2], 16)


def slot_text(case_id: str, place: str) -> str:
    """Return the text whose digest is the slot of a case, as `case_slot` of an engine computes it."""
    return f"{case_id}:{place}"


@lru_cache(maxsize=64)
def draw_table(names: tuple[str, ...]) -> str:
    """Return for each slot the index of the name that it draws, as two hex digits."""
    hashed = [hashlib.md5(f"{name}:".encode(), usedforsecurity=False) for name in names]

    def rank(index: int, slot: int) -> tuple[bytes, str]:
        digest = hashed[index].copy()
        digest.update(b"%d" % slot)
        return digest.digest(), names[index]

    indexes = range(len(names))
    return "".join(f"{max(indexes, key=lambda index: rank(index, slot)):02x}" for slot in range(SLOTS))
