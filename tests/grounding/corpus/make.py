"""Writes made.txt: faithful retellings of the sources by a program with much freedom of wording, and planted faults.

`python tests/grounding/corpus/make.py`, seeded. It reads the facts, not the checker's code: how it words a number, a
date or an outcome knows nothing of how the checker reads them.
"""

# ruff: noqa: E501 (one wording, one line)

import json
import random
import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["_", "_", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
ACTIONS = {
    "AIR_FREIGHT": (("moved the urgent part by air", "flew the urgent part out", "sent the urgent part by air freight"), ("Air freight for the urgent part", "Moving the urgent part by air", "Flying out the urgent part")),
    "RAIL_BRIDGE": (("bridged the passage by rail", "put the cargo on rail to bridge the passage", "bridged the passage by train"), ("The rail bridge", "Bridging the passage by rail", "Rail")),
    "TRANSSHIP": (("transshipped the load at another port", "had it transshipped at another port"), ("Transshipping at another port", "Transshipment")),
    "SPLIT_SHIPMENT": (("split the shipment over several vessels", "spread the boxes over several vessels"), ("Splitting it over several vessels", "The split over several vessels")),
    "WAIT": (("waited for the passage", "chose to wait for the passage", "decided to sit it out and wait"), ("Waiting for the passage", "Waiting")),
    "REROUTE_CAPE": (("rerouted around the cape", "sent it the long way around the cape"), ("Rerouting around the cape", "The detour around the cape")),
    "PRIORITY_SLOT": (("bought a priority slot", "paid for a priority slot"), ("Buying a priority slot", "The priority slot")),
}  # fmt: skip
SHIPS = [
    "SILVER STAR",
    "AMBER STAR",
    "CORAL DAWN",
    "DELTA PIONEER",
    "JADE HORIZON",
    "NORTHERN LIGHT",
    "OCEAN PRIDE",
    "EMBER MERIDIAN",
]
CARRIERS = ["Hanse Atlantic", "Blue Meridian", "Harbour & Hill", "Tramontana", "Vega Container", "Polar Lines"]
PLACES = ["Hamburg", "Genoa", "Felixstowe", "Houston", "Piraeus", "Marseille", "Colombo"]
INVENTED = (
    "a strike of the dockers", "a fire in the engine room", "a broken crane", "the crew falling ill", "a customs dispute",
    "a fuel shortage", "a software failure", "an earthquake", "missing permits", "a grounding upstream", "piracy",
)  # fmt: skip


def words(number: int) -> str:
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10] + (f"-{ONES[number % 10]}" if number % 10 else "")
    return f"{words(number // 100)} hundred" + (f" and {words(number % 100)}" if number % 100 else "")


class Writer:
    """Words for values, chosen at random."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def of(self, *options: str) -> str:
        return self.random.choice(options)

    def count(self, number: int) -> str:
        return words(number) if number < 100 and self.random.random() < 0.4 else f"{number:,}"

    def hours(self, hours: float) -> str:
        """A length of time in one of many ways, never less exact than to the hour, but for words that say so."""
        hours = abs(hours)
        days, rest = divmod(hours, 24)
        whole = int(rest)
        minutes = round((rest - whole) * 60)
        ways = [f"{hours:g} hours", f"{hours:g} h" if hours != 1 else "1 hour"]
        if days >= 1:
            unit = "day" if days == 1 else "days"
            if whole:
                ways += [f"{int(days)} {unit} {whole} hours" if whole > 1 else f"{int(days)} {unit} {whole} hour"] * 2
                ways += [f"{words(int(days))} {unit} and {words(whole)} {'hours' if whole > 1 else 'hour'}"]
            elif not minutes:
                ways += [f"{words(int(days))} {unit}"]
        elif minutes:
            ways += (
                [f"{whole} hours {minutes} minutes" if whole != 1 else f"1 hour {minutes} minutes"]
                if whole
                else [f"{minutes} minutes"]
            )
        if rest in (11.5, 12, 12.5) and days >= 1:
            ways.append(f"about {words(int(days))} and a half days")
        if hours >= 20:
            ways.append(f"{self.of('about', 'roughly', 'around')} {round(hours)} hours")
        if hours >= 60:
            near = round(hours / 24)
            if abs(near * 24 - hours) < 4:
                ways.append(
                    f"{'nearly' if near * 24 > hours else 'a little over' if near * 24 < hours else 'exactly'} "
                    f"{words(near)} days"
                )
        if hours == int(hours) and hours < 100:
            ways.append(f"{words(int(hours))} hours")
        return self.random.choice(ways)

    def decimal_hours(self, hours: float) -> str:
        phrase = f"{abs(hours):.1f}"
        return self.of(
            f"{phrase} hours",
            f"{phrase} hours",
            f"{phrase.removesuffix('.0')} hours",
            f"about {abs(hours):.0f} hours" if abs(hours) > 12 else f"{phrase} hours",
        )

    def money(self, amount: float) -> str:
        whole = amount == int(amount)
        ways = [f"${amount:,.2f}", f"{amount:,.2f} US dollars", f"USD {amount:,.2f}"]
        if whole:
            ways += [f"${amount:,.0f}", f"{amount:,.0f} dollars"]
        if amount > 20_000:
            ways += [
                f"{self.of('about', 'some', 'roughly')} ${round(amount, -3):,.0f}",
                f"around {round(amount / 1000)} thousand dollars",
            ]
        return self.random.choice(ways)

    def day(self, day: date, before: date | None = None, year: bool = True) -> str:
        month = MONTHS[day.month - 1]
        suffix = "th" if 11 <= day.day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
        ways = [
            f"on {day.day} {month}",
            f"on {month} {day.day}",
            f"on {day.day} {month}",
            f"on the {day.day}{suffix} of {month}",
        ]
        if year or before is None:
            ways = [
                f"on {day.day} {month} {day.year}",
                f"on {month} {day.day}, {day.year}",
                f"on {day:%Y-%m-%d}",
                f"on {day:%A} {day.day} {month} {day.year}",
            ]
        if before is not None:
            apart = (day - before).days
            if apart == 0:
                ways += ["the same day"] * 3
            elif apart == 1:
                ways += ["the next day", "a day later", "the following day"]
            elif 1 < apart < 20:
                ways += [f"{words(apart)} days later"] * 2
        return self.random.choice(ways)

    def name(self, ship: str) -> str:
        return self.of(ship, ship.title().replace(" Of ", " of "))


def day_of(value: Any) -> date:
    return datetime.fromisoformat(value).date() if "T" in value else date.fromisoformat(value)


Slots = list[tuple[str, str, str]]
"""What stands in the text: the kind, the role, the exact words."""


def report(source: dict[str, Any], write: Writer) -> tuple[str, Slots]:
    facts, story = source["facts"], source["story"]
    slots: Slots = []

    def slot(kind: str, role: str, phrase: str) -> str:
        slots.append((kind, role, phrase))
        return phrase

    detected, arrived = (
        day_of(facts["delay.detected_at"]),
        facts["delay.arrived_at"] and day_of(facts["delay.arrived_at"]),
    )
    waterway = re.match(r"# (.+), \d", story).group(1)  # type: ignore[union-attr]
    cargo = re.search(r"containers? of (.+?) from", story).group(1)  # type: ignore[union-attr]
    boxes = facts["shipment.container_count"]
    count = slot("number", "boxes", f"{write.count(boxes)} {'container' if boxes == 1 else 'containers'}")
    ship = slot("name", "ship", write.name(facts["shipment.vessel_name"]))
    carrier = slot("name", "carrier", facts["shipment.carrier"])
    parts = []
    when = slot("date", "detected", write.day(detected))
    route = f"from {slot('code', 'origin', facts['shipment.origin'])} to {slot('code', 'destination', facts['shipment.destination'])}"
    place = facts.get("place.name")
    near = f" near {slot('name', 'place', place)}" if place and write.random.random() < 0.8 else ""
    shipment = slot("code", "shipment", facts["delay.shipment_id"])
    parts.append(
        write.of(
            f"{when[0].upper() + when[1:]} {count} of {cargo} (shipment {shipment}) "
            f"{write.of('were', 'got') if boxes != 1 else 'got'} {write.of('delayed', 'stuck', 'held up')} at the "
            f"{waterway}{near}. They were travelling {route} with {carrier} aboard the {ship}.",
            f"{write.of('This is the case of', 'The case concerns')} shipment {shipment}: {count} of {cargo}, "
            f"{route}, carried by {carrier} on the {ship}. {write.of('The delay at the', 'Trouble at the')} "
            f"{waterway} was reported {when}{near}.",
            f"{carrier} had {count} of {cargo} on the {ship}, {route}, when {when}{near} a delay at the {waterway} "
            f"was reported for shipment {shipment}.",
        )
    )
    estimate = slot("number", "estimate", write.hours(facts["delay.expected_delay_hours"]))
    reason = re.search(r"reason given was (.+?)\.\n", story).group(1)  # type: ignore[union-attr]
    reason = re.sub(r" \((.+)\)", lambda met: write.of("", f" ({met.group(1)})"), reason)
    parts.append(
        write.of(
            f"The estimate was {estimate}; the reason given was {reason}.",
            f"{write.of('Because of', 'Owing to', 'Due to')} {reason} a delay of {estimate} was expected.",
            f"At first it was expected to be {estimate} late. The reason: {reason}.",
            f"The forecast said {estimate}, and the cause named was {reason}.",
        )
    )
    slots.append(("cause", "reason", reason))
    if "No disruption" in story and write.random.random() < 0.7:
        parts.append(
            write.of(
                f"No disruption of the {waterway} is on record.",
                "Nothing is known of a disruption there.",
                "The record knows of no disruption at the time.",
            )
        )
    for title, since, until in zip(
        facts.get("disruption.title", []),
        facts.get("disruption.started_at", []),
        facts.get("disruption.ended_at", []),
        strict=True,
    ):
        if write.random.random() < 0.6:
            began = day_of(since)
            phrase = slot("date", "began", f"{began.day} {MONTHS[began.month - 1]} {began.year}")
            ended = (
                f" until {slot('date', 'ended', day_of(until).strftime('%-d %B %Y'))}"
                if until and day_of(until).year < 2025 and f"to {day_of(until).strftime('%-d %B %Y')}" in story
                else ""
            )
            parts.append(
                write.of(
                    f"At that time: {title}, from {phrase}{ended}.",
                    f"Since {phrase}{ended} this was on record: {title}."
                    if not ended
                    else f"On record from {phrase}{ended}: {title}.",
                )
            )
    before = detected
    steps = (
        list(
            zip(
                facts.get("resolution.action_code", []),
                facts.get("resolution.cost_usd", []),
                facts.get("resolution.decided_at", []),
                strict=True,
            )
        )
        if isinstance(facts.get("resolution.action_code"), list)
        else []
    )
    told: list[tuple[str, str, str]] = []
    for place_in_list, (action, cost, decided) in enumerate(steps):
        on = slot("date", "step", write.day(day_of(decided), before, day_of(decided).year != before.year))
        before = day_of(decided)
        what = write.of(*ACTIONS[action][0])
        if cost is None:
            paid = write.of(", the cost not yet settled", ", at a cost that is not yet settled")
        else:
            phrase = slot("number", "cost", write.money(cost))
            paid = write.of(
                f", at a cost of {phrase}", f", which cost {phrase}", f" for {phrase}", f", paying {phrase}"
            )
            slots.append(("omission", "cost", paid))
        who = write.of("the control tower", "the desk", "the control tower")
        lead = write.of("Then ", "After that ", "") if place_in_list and not on.startswith("the") else ""
        parts.append(
            write.of(
                f"{lead + on if lead else on[0].upper() + on[1:]} {who} {what}{paid}.",
                f"{who[0].upper() + who[1:]} {what} {on}{paid}.",
            )
        )
        told.append((decided[:10], what, paid))
    if len(told) > 1 and told[0][0] != told[-1][0] and len({action for action, _, _ in steps}) == len(steps):
        # The last step told as the first one, without days, so that only the order is wrong.
        (_, early, cheap), (_, later, dear) = told[0], told[-1]
        between = "".join(f" In between it {what}{paid}." for _, what, paid in told[1:-1])
        number = len(told)
        turned_order = "|".join(
            (
                f"First the control tower {later}{dear}.{between} Then it {early}{cheap}.",
                f"The control tower {later}{dear}, before it {early}{cheap}.{between}",
                f"The control tower {early}{cheap} after it had {later}{dear}.{between}",
            )
        )
        slots.append(("order", turned_order, " ".join(parts[-number:])))
    if not steps:
        parts.append(
            write.of(
                "Within 30 days the control tower decided nothing.",
                "The control tower took no decision within 30 days.",
            )
        )
    late = facts.get("delay.final_delay_hours")
    if arrived and late is not None:
        on = slot(
            "date",
            "arrived",
            write.day(arrived, before if write.random.random() < 0.5 else None, arrived.year != before.year),
        )
        if late > 0:
            phrase = slot("number", "late", write.hours(late))
            parts.append(
                write.of(
                    f"It arrived {on}, {phrase} late.",
                    f"The cargo arrived {on} with a final delay of {phrase}.",
                    f"{on[0].upper() + on[1:]} it arrived, {phrase} behind schedule.",
                )
            )
        else:
            parts.append(f"It arrived {on}, not late after all.")
        gained = facts.get("recovered_hours")
        if gained and late > 0:
            phrase = slot("number", "gained", write.hours(gained))
            good = gained > 0
            turn = "better" if good else "worse"
            sentence = write.of(
                f"That is {phrase} {turn} than first estimated.",
                f"So it came out {phrase} {turn} than the estimate.",
                f"Compared with the estimate, {phrase} "
                f"{write.of('were gained', 'were recovered') if good else 'were lost'}.",
            )
            parts.append(sentence)
            slots.append(("outcome", "gained", sentence))
    elif arrived is None or late is None:
        parts.append(
            write.of("When this was written it had not arrived.", "It had not yet arrived when this was written.")
        )
    met = re.search(r"a step that (worked|did not work)", story)
    if met:
        worked = met.group(1) == "worked"
        subject = write.of(*ACTIONS[facts["outcome.action"]][1])
        sentence = write.of(
            f"{subject} {write.of('counts as a step that', 'is held to be a step that')} "
            f"{'worked' if worked else 'did not work'}.",
            f"{subject} {write.of('worked', 'was a success') if worked else write.of('did not work', 'failed', 'was not a success')}.",
            f"In the end {subject[0].lower() + subject[1:]} {'did pay off' if worked else 'did not pay off'}.",
        )
        parts.append(sentence)
        slots += [("outcome", "worked", sentence), ("omission", "outcome", " " + sentence)]
    return " ".join(parts), slots


def advice(source: dict[str, Any], write: Writer) -> tuple[str, Slots]:
    facts, story = source["facts"], source["story"]
    slots: Slots = []

    def slot(kind: str, role: str, phrase: str) -> str:
        slots.append((kind, role, phrase))
        return phrase

    parts = []
    actions = facts.get("precedents.options.action") or []
    if actions:
        tried = facts["precedents.tried"]
        phrase = slot("number", "known", f"{write.count(tried)} closed cases")
        parts.append(
            write.of(
                f"{phrase[0].upper() + phrase[1:]} like this one were known.", f"There were {phrase} to compare with."
            )
        )
    for action, many, won, rate, mean in zip(
        *(
            facts.get(f"precedents.options.{name}") or []
            for name in ("action", "tried", "worked", "rate", "mean_score")
        ),
        strict=True,
    ):
        subject = write.of(*ACTIONS[action][1])
        tries = slot("number", f"tried/{action}", f"{write.count(many)} {'time' if many == 1 else 'times'}")
        wins = slot("number", f"worked/{action}", f"{write.count(won)} {'time' if won == 1 else 'times'}")
        share = slot("number", f"rate/{action}", f"{rate * 100:.0f}%")
        gain = slot("number", f"mean/{action}", write.decimal_hours(mean))
        way = write.random.random()
        verb = write.of("recovering", "gaining", "winning back") if mean > 0 else "losing"
        if way < 0.4:
            parts.append(
                f"{subject} was {write.of('tried', 'used')} {tries} and worked {wins} ({share}), {verb} {gain} on "
                f"average."
            )
        elif way < 0.7 and won <= many:
            slots[:] = [slot for slot in slots if slot[2] not in (tries, wins) or slot[1].split("/")[-1] != action]
            pair = slot("number", f"pair/{action}", f"{write.count(won)} of {write.count(many)}")
            parts.append(
                f"{subject} worked in {pair} {write.of('cases', 'tries', 'attempts')} ({share}), with {gain} "
                f"{'recovered' if mean > 0 else 'lost'} on average."
            )
        else:
            parts.append(
                f"{subject} worked {wins} out of the {tries} it was {write.of('tried', 'used')}, {share}, {verb} "
                f"{gain} on average."
            )
    best = facts.get("precedents.best.action")
    if best and "What worked best was" in story:
        parts.append(
            f"{write.of('What worked best was', 'The best choice was', 'Best of all was')} "
            f"{ACTIONS[best][1][-1].lower() if best != 'RAIL_BRIDGE' else 'to bridge the passage by rail'}."
        )
        for case, at, score in zip(
            *(facts.get(f"precedents.best.quoted.{name}") or [] for name in ("id", "at", "score")), strict=True
        ):
            gain = slot("number", f"quoted/{case}", write.decimal_hours(score)) if score > 0 else "nothing"
            day = day_of(at)
            on = slot(
                "date",
                f"quoted/{case}",
                write.of(
                    f"{day.day} {MONTHS[day.month - 1]} {day.year}", f"{MONTHS[day.month - 1]} {day.day}, {day.year}"
                ),
            )
            slots.append(("code", "quoted", case))
            parts.append(
                write.of(
                    f"Case {case} of {on} {write.of('recovered', 'gained', 'won back')} {gain}.",
                    f"In case {case} ({on}) {gain} {'was' if score <= 0 else 'were'} recovered.",
                )
            )
    elif "too few" in story:
        parts.append(
            write.of(
                "There are too few closed cases like this one to say what works.",
                "Too few closed cases are known to say what works.",
            )
        )
    elif "Nothing that was tried often enough" in story:
        parts.append("Nothing that was tried often enough has worked.")
    met = re.search(r"It (worked|did not work): (at least|fewer than) 24 hours", story)
    if met:
        worked = met.group(1) == "worked"
        sentence = write.of(
            f"Here the last step {'worked' if worked else 'did not work'}: {met.group(2)} 24 hours were recovered.",
            f"In this case it {'worked' if worked else 'did not work'}, as {'at least' if worked else 'less than'} "
            f"24 hours were recovered.",
        )
        parts += [f"The last step was to {story.split('the last step was to ')[1].split('. It ')[0]}.", sentence]
        slots += [("outcome", "worked", sentence), ("omission", "outcome", " " + sentence)]
    return " ".join(parts), slots


def verdict(source: dict[str, Any], write: Writer) -> tuple[str, Slots]:
    facts = source["facts"]
    side = next(path.split(".")[1] for path in facts if path.startswith("option."))
    value = {
        name: facts.get(f"option.{side}.{name}")
        for name in ("action", "tried", "worked", "rate", "mean_score", "quoted.id", "quoted.score")
    }
    slots: Slots = []
    subject = write.of(*ACTIONS[value["action"]][1])
    if not value["tried"]:
        return f"{subject} has no closed case like this one behind it: nobody tried it before.", slots
    many, won, mean = value["tried"], value["worked"], value["mean_score"]
    tries = f"{write.count(many)} {'time' if many == 1 else 'times'}"
    wins = f"{write.count(won)} {'time' if won == 1 else 'times'}"
    share, gain = f"{value['rate'] * 100:.0f}%", write.decimal_hours(mean)
    slots += [
        ("number", "tried", tries),
        ("number", "worked", wins),
        ("number", "rate", share),
        ("number", "mean", gain),
    ]
    text = write.of(
        f"{subject} was tried {tries} in cases like this one and worked {wins} ({share}). On average {gain} were "
        f"{'recovered' if mean > 0 else 'lost'}.",
        f"{subject} has been used {tries} before; {wins} it worked, which makes {share}, "
        f"{'gaining' if mean > 0 else 'losing'} {gain} on average.",
    )
    for case, score in zip(value["quoted.id"] or [], value["quoted.score"] or [], strict=True):
        phrase = write.decimal_hours(score) if score > 0 else "nothing"
        slots.append(("code", "quoted", case))
        if score > 0:
            slots.append(("number", f"quoted/{case}", phrase))
        text += write.of(
            f" {case} recovered {phrase}.", f" In case {case} {phrase} {'were' if score > 0 else 'was'} recovered."
        )
    return text, slots


def supply(source: dict[str, Any], write: Writer) -> tuple[str, Slots]:
    facts = source["facts"]
    slots: Slots = []

    def slot(kind: str, role: str, phrase: str) -> str:
        slots.append((kind, role, phrase))
        return phrase

    planned, delivered = day_of(facts["late_line.planned_on"]), day_of(facts["late_line.delivered_on"])
    late = facts["late_line.days_late"]
    packs = slot("number", "packs", f"{facts['shipment.packs']:,} packs") if facts["shipment.packs"] != 1 else "1 pack"
    days = slot("number", "late", f"{write.count(late)} {'day' if late == 1 else 'days'}")
    due, came = (
        slot("date", "planned", write.day(planned)),
        slot("date", "delivered", write.day(delivered, None, delivered.year != planned.year)),
    )
    country = slot("name", "country", facts["late_line.country"])
    parts = [
        write.of(
            f"{packs} of {facts['shipment.molecule']} were due in {country} {due}. They were delivered {came}, "
            f"{days} late.",
            f"{country} should have received {packs} of {facts['shipment.item']} {due}; delivery was {came}, {days} "
            f"after the plan.",
            f"A delivery to {country} came {days} late: {packs} of {facts['shipment.molecule']}, planned "
            f"{due.replace('on ', 'for ', 1)}, were delivered {came}.",
        )
    ]
    worth = slot("number", "worth", write.money(facts["shipment.line_value_usd"]))
    parts.append(write.of(f"The goods were worth {worth}.", f"Their value was {worth}."))
    if facts["shipment.stated_on_line"] is None:
        if facts["shipment.weight_kg"] is not None:
            kilos = slot("number", "weight", f"{facts['shipment.weight_kg']:,} {write.of('kg', 'kilograms')}")
            parts.append(write.of(f"They weighed {kilos}.", f"The weight was {kilos}."))
        if facts["shipment.freight_usd"] is not None:
            freight = slot("number", "freight", write.money(facts["shipment.freight_usd"]))
            sentence = write.of(
                f"Freight came to {freight}.",
                f"The freight was {freight}.",
                f"Carriage, that is freight, cost {freight}.",
            )
            parts.append(sentence)
            slots.append(("omission", "cost", " " + sentence))
    parts.append(
        f"This is line {facts['late_line.line_id']} of shipment {slot('code', 'asn', facts['shipment.asn'])}, order "
        f"{slot('code', 'order', facts['shipment.po_number'])}."
    )
    if facts["late_line.shipment_mode"] == "ocean":
        parts.append("The goods came by sea, and nothing in the record ties an incident at sea to them.")
    return " ".join(parts), slots


def wrong_number(phrase: str, write: Writer) -> str | None:
    """The number with another value: a digit, two digits exchanged, or another word."""
    met = re.search(r"\d[\d,]*\.?\d*", phrase)
    if met:
        text = met.group()
        for _ in range(20):
            places = [at for at, item in enumerate(text) if item.isdigit()]
            at = write.random.choice(places)
            if (
                write.random.random() < 0.4
                and at + 1 < len(text)
                and text[at + 1].isdigit()
                and text[at] != text[at + 1]
                and text[at + 1] != "0"
            ):
                other = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
            else:
                other = text[:at] + str((int(text[at]) + write.random.randint(2, 8)) % 10) + text[at + 1 :]
            old, new = float(text.replace(",", "")), float(other.replace(",", ""))
            if not other.startswith("0") and abs(new - old) > 0.12 * max(abs(old), 1.0):
                return phrase[: met.start()] + other + phrase[met.end() :]
        return None
    for value in range(99, 0, -1):
        if re.search(rf"\b{words(value)}\b", phrase):
            other = value + write.random.choice([-7, -5, -4, -3, 3, 4, 5, 7, 9, 11])
            return re.sub(rf"\b{words(value)}\b", words(other), phrase, count=1) if 0 < other < 99 else None
    return None


def shifted(phrase: str, write: Writer) -> str | None:
    """The date said, some days off."""
    met = re.search(
        r"(\d{1,2})(st|nd|rd|th)? of (\w+)|(\d{4})-(\d\d)-(\d\d)|(\d{1,2}) "
        r"(January|February|March|April|May|June|July|August|September|October|November|December)|(January|February|March|April|May|June|July|August|September|October|November|December) (\d{1,2})",
        phrase,
    )
    off = write.random.choice([-9, -6, -4, -3, 3, 4, 5, 8, 11])
    if not met:
        for value in range(2, 20):
            if f"{words(value)} days later" in phrase:
                return phrase.replace(words(value), words(value + abs(off)))
        return {
            "the same day": "four days later",
            "the next day": "three days later",
            "a day later": "a week later",
            "the following day": "a fortnight later",
        }.get(phrase)
    number = next(item for item in (met.group(1), met.group(6), met.group(7), met.group(10)) if item)
    other = int(number) + off
    if not 1 <= other <= 28:
        other = int(number) - off
    if not 1 <= other <= 28:
        return None
    if met.group(1):
        return phrase.replace(met.group(), f"{other}th of {met.group(3)}") if 4 <= other <= 20 else None
    new = f"{other:02d}" if met.group(6) else str(other)
    place = met.start() + met.group().rindex(number) if met.group(6) or met.group(10) else met.start()
    return phrase[:place] + new + phrase[place + len(number) :]


def unit_of(phrase: str) -> str:
    if re.search(r"\$|USD|dollar", phrase):
        return "money"
    if "%" in phrase:
        return "share"
    if re.search(r"\b(hours?|h|days?|minutes?)\b", phrase):
        return "duration"
    return phrase.split()[-1]


def faults(text: str, slots: Slots, write: Writer, source: dict[str, Any]) -> list[str]:
    """Planted faults as edits of the text."""
    once = [slot for slot in slots if text.count(slot[2]) == 1]
    found: list[str] = []

    def plant(how: str, *edits: tuple[str, str]) -> None:
        if all(text.count(old) == 1 and " => " not in old for old, _ in edits):
            found.append(f"- {how}: " + " || ".join(f"{old} => {new}" for old, new in edits))

    truth = source["story"] + source["known"] + json.dumps(source["facts"])
    numbers = [item for item in once if item[0] == "number"]
    write.random.shuffle(numbers)
    for _, _, phrase in numbers[:2]:
        other = wrong_number(phrase, write)
        if other and other not in truth:
            plant("number/wrong", (phrase, other))
    for at, (_, _, phrase) in enumerate(numbers):
        mate = next(
            (
                number
                for number in numbers[at + 1 :]
                if unit_of(number[2]) == unit_of(phrase) and not same(number[2], phrase)
            ),
            None,
        )
        if mate:
            plant("number/swapped", (phrase, mate[2]), (mate[2], phrase))
            break
    days = [item for item in once if item[0] == "date"]
    write.random.shuffle(days)
    for _, _, phrase in days[:2]:
        other = shifted(phrase, write)
        if other and other.removeprefix("on ") not in truth:
            plant("date/shifted", (phrase, other))
    full = [day for day in days if re.search(r"\d", day[2]) and len(day[2]) > 6]
    if (
        len(full) > 1
        and full[0][2].removeprefix("on ") != full[1][2].removeprefix("on ")
        and full[0][2].startswith("on ") == full[1][2].startswith("on ")
    ):
        first, second = full[0][2], full[1][2]
        if re.findall(r"\d+", first)[:1] != re.findall(r"\d+", second)[:1] and not re.search("day", first + second):
            plant("date/swapped", (first, second), (second, first))
    for kind, role, phrase in once:
        if kind == "name" and write.random.random() < 0.6:
            pool = {"ship": SHIPS, "carrier": CARRIERS, "country": ["Lesotho", "Malawi", "Togo", "Liberia"]}.get(
                role, PLACES
            )
            other = write.random.choice([item for item in pool if item.lower() not in truth.lower()])
            plant("name/other", (phrase, other if phrase.isupper() or role != "ship" else other.title()))
        if kind == "code" and write.random.random() < 0.35:
            other = (
                re.sub(r"\d", lambda met: str((int(met.group()) + 3) % 10), phrase)
                if re.search(r"\d", phrase)
                else phrase[:2] + "".join(write.random.sample("ABCDEFGHKLMNPRSTVXZ", 3))
            )
            if other not in truth:
                plant("code/other", (phrase, other))
        if kind == "outcome" and (write.random.random() < 0.8):
            other = turned(phrase)
            if other:
                plant("outcome/turned", (phrase, other))
        if kind == "omission":
            plant(f"omission/{role}", (phrase, ""))
        if kind == "cause":
            plant("cause/invented", (phrase, write.random.choice(INVENTED)))
        if kind == "order":
            # Chosen by the length of the text, which leaves the other choices as they are.
            plant("order/turned", (phrase, role.split("|")[len(text) % 3]))
    sentences = [item for item in re.split(r"(?<=[.]) ", text) if text.count(item) == 1 and len(item) > 25]
    if sentences and write.random.random() < 0.5:
        sentence = write.random.choice(sentences)
        cause = write.random.choice(INVENTED)
        plant(
            "cause/invented",
            (
                sentence,
                sentence[:-1]
                + write.of(" because of ", " owing to ", " due to ", " as a result of ", ", caused by ")
                + cause
                + ".",
            ),
        )
    return found


def same(phrase: str, other: str) -> bool:
    """Whether two amounts may be the same one, said in two ways, or nearly so."""
    values = []
    for text in (phrase, other):
        for value in range(99, -1, -1):
            text = re.sub(rf"\b{words(value)}\b", str(value), text)
        found = [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\.?\d*", text)]
        if "day" in text and found:
            found = [24 * found[0] + sum(found[1:])]
        values.append(found)
    return not all(values) or abs(values[0][0] - values[1][0]) < 0.03 * max(values[0][0], values[1][0], 1.0)


def turned(phrase: str) -> str | None:
    for old, new in (
        ("did not work", "worked"), ("was not a success", "was a success"), ("did not pay off", "did pay off"), ("did pay off", "did not pay off"),
        ("was a success", "was a failure"), (" failed", " succeeded"), ("worked", "did not work"), ("better", "worse"), ("worse", "better"),
        ("were gained", "were lost"), ("were recovered", "were lost"), ("were lost", "were gained"),
    ):  # fmt: skip
        if old in phrase:
            return phrase.replace(old, new, 1)
    return None


TELLERS = {"report": report, "advice": advice, "verdict": verdict}


def main() -> None:
    entries = []
    for line in (HERE / "sources.jsonl").read_text().splitlines():
        source = json.loads(line)
        narrative, config = source["source"].split("/")[:2]
        if narrative == "abnormal-passages":
            continue
        teller = supply if narrative == "late-lines" else TELLERS[config]
        for variant in range(3 if config != "verdict" else 4):
            write = Writer(f"{source['source']}/{variant}")
            text, slots = teller(source, write)
            chosen = faults(text, slots, write, source)
            write.random.shuffle(chosen)
            by_kind: dict[str, str] = {}
            for fault in chosen:
                by_kind.setdefault(fault.split(":")[0], fault)
            kept = [fault for key, fault in by_kind.items() if key != "- order/turned"][
                : 4 if config != "report" else 5
            ]
            kept += [fault for key, fault in by_kind.items() if key == "- order/turned"]
            entries.append("\n".join([f"= {source['source']}", text, *kept]))
    (HERE / "made.txt").write_text("\n".join(entries) + "\n")


if __name__ == "__main__":
    main()
