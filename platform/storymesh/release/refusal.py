"""Why a release is not made."""

from collections.abc import Mapping

from storymesh.errors import StorymeshError


class ReleaseRefused(StorymeshError):
    """A release that would break a promise: nothing was released, and earlier releases stay as they are."""


class LeakRefused(ReleaseRefused):
    """The certificate is not all zero: `certificate` has each promise and how often it is broken."""

    def __init__(self, words: str, hint: str, certificate: Mapping[str, int]) -> None:
        super().__init__(words, hint)
        self.certificate = certificate
