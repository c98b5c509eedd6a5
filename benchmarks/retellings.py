"""How well the check of a retelling finds faults, and how often it errs: `python -m benchmarks.retellings [DOMAIN…]`.

The stories and their retellings, faithful and faulty, lie in tests/grounding/retellings; its README says how to read
them. Caught: a faulty retelling is refused. False alarm: a faithful one is. Kept: the share of the sentences of the
faithful ones that stay, where those refused are mended. `--suggested` adds to each vocabulary the words that the
faithful ones were refused for, as an author may do; `--show` prints each that goes wrong.
"""

import argparse
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from storymesh.grounding.check import Grounding, check_grounding
from storymesh.grounding.pieces import GroundingSource, Piece
from storymesh.lexicon.language import Language, language_of
from storymesh.rewriting.mending import mend

FOLDER = Path(__file__).parent.parent / "tests" / "grounding" / "retellings"
DOMAINS = tuple(sorted(path.stem for path in FOLDER.glob("*.txt")))
_WRITTEN = re.compile(r"\[\[(\d+)\|(\w+)\|([\w.]+)\|(.*?)\]\]")
_KINDS = {"date": "moment", "number": "number", "text": "text"}


@dataclass(frozen=True)
class Retelling:
    """A retelling of one story: `kind` is that of its fault, empty for a faithful one; `faithful` is the text that it
    was made of."""

    story: str
    kind: str
    text: str
    faithful: str


@dataclass
class Domain:
    """The stories of one domain by id, and their retellings."""

    sources: dict[str, GroundingSource] = field(default_factory=dict)
    retellings: list[Retelling] = field(default_factory=list)


def read_domain(name: str, *, suggested: bool = False) -> Domain:
    """Return the stories and retellings of one file, `suggested` with the vocabulary that its faithful ones want.
    Raises ValueError for a change of what is not there."""
    found, settings, current, faithful = Domain(), {"language": "en", "vocabulary": ""}, "", list[str]()
    titles: dict[str, str] = {}
    for line in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        sign, _, rest = line.partition(" ")
        if sign in ("language:", "vocabulary:"):
            settings[sign[:-1]] = rest
        elif sign == "title:":
            path, _, title = rest.partition("; ")
            titles[path] = title
        elif sign == "=":
            current, faithful = rest, []
        elif sign == "+":
            faithful.append(rest)
            found.retellings.append(Retelling(current, "", rest, rest))
        elif sign == "-":
            kind, number, changes = (part.strip(" ") for part in rest.split(";", 2))
            base = faithful[int(number) - 1]
            found.retellings.append(Retelling(current, kind, _changed(base, changes), base))
        elif line and sign != "#":
            found.sources[current] = _source(line, settings["language"], tuple(settings["vocabulary"].split()), titles)
    if suggested:
        words = tuple(_suggested(found, language_of(settings["language"])))
        sources = found.sources.items()
        found.sources = {name: replace(source, vocabulary=source.vocabulary + words) for name, source in sources}
    return found


def _suggested(domain: Domain, language: Language) -> set[str]:
    """Return the words that a vocabulary may let in, of those that faithful retellings are refused for."""
    faithful = (retelling for retelling in domain.retellings if not retelling.kind)
    faults = (check_grounding(one.text, domain.sources[one.story]).faults for one in faithful)
    return {
        fault.words.lower()
        for found in faults
        for fault in found
        if fault.kind == "word" and language.is_open(fault.words)
    }


def kept_share(domain: Domain) -> float:
    """Return the share of the sentences of faithful retellings that stay, where those refused are mended."""
    kept = []
    for retelling in domain.retellings:
        if not retelling.kind:
            source = domain.sources[retelling.story]
            mended = mend(retelling.text, source) if check_grounding(retelling.text, source).faults else None
            accepted = not check_grounding(retelling.text, source).faults
            kept.append(1.0 if accepted else 0.0 if mended is None else mended.kept)
    return sum(kept) / len(kept)


def _changed(text: str, changes: str) -> str:
    for change in changes.split(" || "):
        old, _, new = f"{change} ".partition(" => ")
        new = new.removesuffix(" ").replace("\\n", "\n")
        if old not in text:
            raise ValueError(f"{old!r} is not in {text!r}")
        text = text.replace(old, new, 1)
    return text


def _source(line: str, language: str, vocabulary: tuple[str, ...], titles: Mapping[str, str]) -> GroundingSource:
    story, pieces, done = "", list[Piece](), 0
    for match in _WRITTEN.finditer(line):
        story += line[done : match.start()]
        path = tuple(int(step) if step.isdigit() else step for step in match[3].split("."))
        kind, meaning = _KINDS[match[2]], titles.get(match[3], match[3])
        pieces.append(Piece(int(match[1]), len(story), len(story) + len(match[4]), kind, meaning, path))  # type: ignore[arg-type]
        story, done = story + match[4], match.end()
    return GroundingSource(story + line[done:], tuple(pieces), language, vocabulary)


@dataclass(frozen=True)
class Judgement:
    """A retelling with what the check says of it. `is_caught`: it is refused, or what was wrong with it was cut off;
    `by_itself`: the faithful text that it was made of is accepted, so that nothing but its fault can be the reason."""

    retelling: Retelling
    grounding: Grounding
    is_caught: bool
    by_itself: bool


def judged(name: str, *, suggested: bool = False) -> Iterator[Judgement]:
    """Yield each retelling of one domain with what the check says of it."""
    domain = read_domain(name, suggested=suggested)
    for retelling in domain.retellings:
        source = domain.sources[retelling.story]
        grounding, faithful = (check_grounding(text, source) for text in (retelling.text, retelling.faithful))
        cut = bool(retelling.kind) and not faithful.faults and grounding.text == faithful.text
        yield Judgement(retelling, grounding, bool(grounding.faults) or cut, not faithful.faults)


def count(name: str, *, suggested: bool = False) -> tuple[Counter[str], Counter[str]]:
    """Return by kind how many retellings there are, and how many were caught; the kind of a faithful one is empty, and
    that of those made of an accepted one is `by itself`."""
    total, caught = Counter[str](), Counter[str]()
    for found in judged(name, suggested=suggested):
        kinds = [found.retelling.kind, *(["by itself"] if found.retelling.kind and found.by_itself else [])]
        total.update(kinds)
        caught.update(kinds if found.is_caught else [])
    return total, caught


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("domains", nargs="*", default=DOMAINS)
    arguments.add_argument("--suggested", action="store_true")
    arguments.add_argument("--show", action="store_true")
    chosen = arguments.parse_args()
    for name in chosen.domains:
        total, refused = count(name, suggested=chosen.suggested)
        kept = kept_share(read_domain(name, suggested=chosen.suggested))
        (alarms, faithful), (alone, made) = ((refused[kind], total.pop(kind)) for kind in ("", "by itself"))
        faulty, caught = total.total(), sum(refused[kind] for kind in total)
        print(f"{name}: caught {caught} of {faulty} ({caught / faulty:.1%}),", end=" ")
        print(f"{alone} of {made} ({alone / made:.1%}) made of an accepted text;", end=" ")
        print(f"false alarms {alarms} of {faithful} ({alarms / faithful:.1%}); kept {kept:.0%}")
        print("  " + ", ".join(f"{kind} {refused[kind]}/{total[kind]}" for kind in sorted(total)))
        for found in judged(name, suggested=chosen.suggested) if chosen.show else ():
            if bool(found.retelling.kind) != found.is_caught:
                print(f"\n  {found.retelling.story} {found.retelling.kind or 'faithful'}: {found.retelling.text}")
                for fault in found.grounding.faults:
                    print(f"    {fault.kind}: {fault.because}")


if __name__ == "__main__":
    main()
