"""What it costs to move values between two premises, beside others."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LinkPrices:
    """What a byte costs that comes as `rows` from the server's premise, and one that leaves its own in `keys`."""

    rows: float
    keys: float


ALIKE = LinkPrices(1, 1)
