"""The fixed facts of the synthetic world: lanes, carriers, cargo, causes and what each action truly achieves.

Carriers, vessels, consignees and people are invented. IMO numbers have a right check digit but begin with 3, which is
not in use, so that no real ship is meant. Ports, delay codes and disruptions are real (see the contracts).
"""

from dataclasses import dataclass

WATERWAYS = ("suez", "panama", "bab_el_mandeb", "rhine", "bosporus", "baltimore_channel")
CARGO = ("perishables", "electronics", "chemicals", "automotive", "apparel")
ACTIONS = ("WAIT", "REROUTE_CAPE", "TRANSSHIP", "AIR_FREIGHT", "RAIL_BRIDGE", "PRIORITY_SLOT", "SPLIT_SHIPMENT")

CARRIERS = (
    "Northern Crown Line", "Blue Meridian", "Harbour & Hill", "Cormorant Shipping", "Estrela Lines",
    "Pacific Lantern", "Vega Container", "Tramontana", "Silk Anchor", "Greyfriars Ocean",
)  # fmt: skip
CONSIGNEES = tuple(
    f"{first} {second}"
    for first in ("Alder", "Brook", "Castell", "Dune", "Elm", "Fjord", "Gable", "Heron", "Iris", "Juniper")
    for second in ("Foods BV", "Imports GmbH", "Trading Ltd", "Retail SA", "Components Inc", "Pharma AG")
)
DECIDERS = (
    "Amina Okafor", "Björn Haldorsen", "Carla Mendieta", "Dinesh Raut", "Elif Aydin", "Farid Nasser",
    "Greta Lindqvist", "Hana Kobayashi", "Ignacio Rúa", "Jolanta Wrona", "Kwame Asante", "Lucía Ferrán",
)  # fmt: skip
VESSEL_NAMES = tuple(
    f"{first} {second}"
    for first in ("Amber", "Boreal", "Coral", "Delta", "Ember", "Falcon", "Garnet", "Harbour", "Indigo", "Jade")
    for second in ("Crown", "Dawn", "Endeavour", "Horizon", "Lantern", "Meridian", "Pioneer", "Star")
)
RENAMED_VESSELS = 12

LANES = {
    "suez": (("CNSHA", "NLRTM"), ("SGSIN", "DEHAM"), ("CNYTN", "GBFXT"), ("MYPKG", "FRLEH"), ("INNSA", "BEANR")),
    "panama": (("CNSHA", "USNYC"), ("KRPUS", "USSAV"), ("TWKHH", "USHOU"), ("USCHS", "CLVAP"), ("ECGYE", "NLRTM")),
    "bab_el_mandeb": (("INMUN", "ITGOA"), ("LKCMB", "GRPIR"), ("CNNGB", "ESVLC"), ("AEJEA", "FRLEH")),
    "rhine": (("NLRTM", "CHBSL"), ("BEANR", "DEMHG"), ("NLRTM", "FRSXB"), ("NLRTM", "DECGN")),
    "bosporus": (("GRPIR", "ROCND"), ("ITGOA", "UAODS"), ("TRIST", "BGVAR")),
    "baltimore_channel": (("DEHAM", "USBAL"), ("BEANR", "USBAL"), ("BRSSZ", "USBAL")),
}
FEEDERS = {"rhine": "NLRTM", "bosporus": "GRPIR"}
"""Where a second leg starts that can be held up on its own: waterway -> port of transshipment."""

BACKGROUND_SHARE = {"suez": 27, "panama": 26, "bab_el_mandeb": 6, "rhine": 22, "bosporus": 17, "baltimore_channel": 2}
"""Weight of delays that no disruption explains; they make about half of all."""


@dataclass(frozen=True)
class Cause:
    """One reason for a delay: SMDG code, namespaced cause, and quartiles (0, 25, 50, 75, 100 %) of its hours."""

    code: str
    name: str
    hours: tuple[int, int, int, int, int]


CAUSE_OF_KIND = {
    "blockage": Cause("PTF", "storymesh:waterway-blocked", (48, 96, 144, 216, 340)),
    "collision": Cause("PTF", "storymesh:waterway-blocked", (40, 80, 150, 260, 420)),
    "draught_limit": Cause("PTF", "storymesh:draught-limit", (36, 60, 96, 168, 300)),
    "transit_limit": Cause("PTF", "storymesh:transit-limit", (36, 72, 132, 240, 480)),
    "security_diversion": Cause("OTF", "storymesh:security-diversion", (96, 192, 252, 312, 480)),
    "weather": Cause("WEA", "storymesh:weather", (30, 36, 48, 72, 120)),
    "regulation": Cause("ANA", "storymesh:paperwork-check", (36, 60, 90, 130, 170)),
}
BACKGROUND_CAUSES = (
    Cause("CGS", "storymesh:queue", (30, 40, 54, 78, 150)),
    Cause("PIT", "storymesh:pilot-or-tug", (30, 34, 40, 52, 80)),
    Cause("WEA", "storymesh:weather", (30, 36, 48, 72, 120)),
    Cause("ENG", "storymesh:engine-trouble", (34, 48, 72, 110, 190)),
)
ALL_CAUSES = (*CAUSE_OF_KIND.values(), *BACKGROUND_CAUSES)

PERCENT_WORKED = {
    #                     WAIT CAPE TRAN  AIR RAIL PRIO SPLIT
    "suez":              (20,   45,  42,  80,  62,  56,  30),
    "panama":            (18,   28,  48,  74,  70,  84,  35),
    "bab_el_mandeb":     (12,   76,  30,  70,  52,  16,  40),
    "rhine":             (22,    0,  36,  60,  82,   0,  68),
    "bosporus":          (45,    0,  62,  66,  56,  72,  24),
    "baltimore_channel": (14,    0,  86,  54,  62,   0,  40),
}  # fmt: skip
"""How often each action wins back a day or more, by waterway; 0 where nobody would choose it."""

PERCENT_FOR_CARGO = {
    "perishables": (-6, -14,   0,   8, -20,   2,  -4),
    "electronics": ( 0,   4,   4,   8,   0,   0,   0),
    "chemicals":   ( 4,  10, -10, -48, -10,   6,  -6),
    "automotive":  ( 0,   0,   2, -22,  14,   0,  10),
    "apparel":     ( 2,   8,   0,  -6,   2,  -4,   8),
}  # fmt: skip
"""What the cargo adds to that."""

HABIT = (22, 14, 18, 12, 14, 14, 10)
"""How often the desk reaches for each action before it thinks about the odds."""

COST_PER_CONTAINER = (180, 940, 620, 9400, 2150, 1250, 780)
COST_FIXED = (0, 18_000, 4_500, 2_500, 3_800, 21_000, 1_500)

NOTES = (
    "Agreed with the consignee by phone.",
    "Second offer taken, the first was withdrawn.",
    "Capacity confirmed by the carrier.",
    "Chosen against the advice of the line.",
    "Insurance informed.",
)
