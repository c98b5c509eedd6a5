"""Reasons to doubt a release that is made all the same: what `run`, the card and the report warn of."""

from storymesh.release.manifest import ReleaseManifest
from storymesh.release.recitation import recitation_warnings
from storymesh.release.split_balance import balance_warnings
from storymesh.release.tricks import trick_warnings


def release_doubts(manifest: ReleaseManifest) -> tuple[str, ...]:
    """Return a sentence for each reason to doubt that the release shows one world, and that a model learns from it."""
    return (*balance_warnings(manifest), *learning_doubts(manifest))


def learning_doubts(manifest: ReleaseManifest) -> tuple[str, ...]:
    """Return those that are about what its records teach."""
    return (*recitation_warnings(manifest.recitation), *trick_warnings(manifest.tricks))
