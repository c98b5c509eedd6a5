"""Relative prices of moving values between two premises."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LinkPrices:
    """Prices of a byte that comes as `rows` from the server's premise, and of one that leaves its own in `keys`."""

    rows: float
    keys: float


ALIKE = LinkPrices(1, 1)
