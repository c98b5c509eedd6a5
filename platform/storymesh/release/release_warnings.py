"""Warnings about a release, which `run`, the card and the report show."""

from storymesh.release.manifest import ReleaseManifest
from storymesh.release.recitation import recitation_warnings
from storymesh.release.split_balance import balance_warnings
from storymesh.release.tricks import trick_warnings


def release_warnings(manifest: ReleaseManifest) -> tuple[str, ...]:
    """Return a sentence for each reason to doubt that the splits are alike, and that a model learns from the
    release."""
    return (*balance_warnings(manifest), *learning_warnings(manifest))


def learning_warnings(manifest: ReleaseManifest) -> tuple[str, ...]:
    """Return the warnings about what the records teach."""
    return (*recitation_warnings(manifest.recitation), *trick_warnings(manifest.tricks))
