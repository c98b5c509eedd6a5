"""The dataset card, README.md: a YAML header that the Hugging Face Hub reads, and a page for those who train on it."""

from storymesh.release.card.render import render_card

__all__ = ["render_card"]
