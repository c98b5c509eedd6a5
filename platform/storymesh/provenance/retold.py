"""Traces of what a language model retold: its values stand in the template's text too, and are traced there."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from storymesh.grounding.pieces import PlacedPiece
from storymesh.location import Location
from storymesh.narrative.formats.format import TextColumn
from storymesh.provenance.spans import TracedSpan


def placed_pieces(column: TextColumn, released: Mapping[str, Any]) -> tuple[PlacedPiece, ...]:
    """Return the values in a retold text of a record; none of one that an older release has."""
    for note in released.get("retellings") or ():
        if note["column"] == column.name:
            return tuple(PlacedPiece(**piece) for piece in note.get("pieces") or ())
    return ()


def trace_retold(
    text: str, pieces: Sequence[PlacedPiece], story: str, spans: Sequence[TracedSpan], at: Location
) -> tuple[tuple[TracedSpan, ...], list[str]]:
    """Return the spans that cover a retold text, and what is wrong with its values. `at` is where the model is named
    whose words stand between them; `spans` are those of the template's text."""
    found: list[TracedSpan] = []
    mistakes: list[str] = []
    done = 0
    for piece in pieces:
        printed = text[piece.begin : piece.end]
        end = piece.origin + len(printed)
        source = next((span for span in spans if span.begin <= piece.origin and end <= span.end), None)
        if source is None or story[piece.origin : end] != printed:
            mistakes.append(f"character {piece.begin}: {printed!r} is not what its template printed")
            continue
        if done < piece.begin:
            found.append(TracedSpan(done, piece.begin, text[done : piece.begin], at))
        found.append(replace(source, begin=piece.begin, end=piece.end, text=printed))
        done = piece.end
    if done < len(text):
        found.append(TracedSpan(done, len(text), text[done:], at))
    return tuple(found), mistakes
