"""What the check of a retelling says of accepted texts that are changed by program: `python -m benchmarks.exchanges`.

Each faithful text of tests/grounding/retellings that is accepted is changed in every way of a kind, one
change at a time. Printed is how many of the changed texts are refused. `--show` prints those that are not.
"""

import argparse
import random
import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations

from benchmarks.retellings import DOMAINS, read_domain

from storymesh.grounding.check import check_grounding
from storymesh.grounding.pieces import GroundingSource
from storymesh.grounding.placing import rivals_of
from storymesh.lexicon.language import language_of

SAMPLE = 20
"""The pairs of plain words that are exchanged in a text: of all there would be hundreds."""
_WORD = re.compile(r"\[\[\d+\]\]|[^\W\d_]+(?:'[^\W\d_]+)*")
_NAMED = re.compile(r"([^\W\d_]+) \[\[(\d+)\]\]")
_NOT = re.compile(r"\b(?:not|nicht) ")
_VERB = re.compile(r"\b(?:was|were|is|had|has|are|did|wurde|war|hat) ")


def exchanged(text: str, one: re.Match[str], other: re.Match[str]) -> str:
    """Return a text in which two stretches have changed places."""
    return f"{text[: one.start()]}{other[0]}{text[one.end() : other.start()]}{one[0]}{text[other.end() :]}"


def changes(text: str, source: GroundingSource) -> Iterator[tuple[str, str]]:
    """Yield the ways to change a text, each by its kind."""
    language, rivals = language_of(source.language), rivals_of(source)
    matches = list(_WORD.finditer(text))
    values = [(match, int(match[0][2:-2])) for match in matches if match[0].startswith("[")]
    for (one, number), (other, second) in combinations(values, 2):
        if second in rivals[number]:
            yield "value", exchanged(text, one, other)
    words = [match for match in matches if not match[0].startswith("[") and not language.says_nothing(match[0])]
    words = [match for match in words if not language.leads(match[0])]
    plain = []
    for one, other in combinations(words, 2):
        weight = language.weight(one[0])
        alike = language.key(one[0]) == language.key(other[0]) or not text[one.end() : other.start()].strip()
        if alike or weight != language.weight(other[0]):
            continue
        if weight is not None:
            yield weight, exchanged(text, one, other)
        elif re.search(r"[.;:]\s", text[one.end() : other.start()]):
            plain.append(exchanged(text, one, other))
    yield from (("plain word", one) for one in random.Random(text).sample(plain, min(SAMPLE, len(plain))))
    named = (one for one in _NAMED.finditer(text) if not (language.says_nothing(one[1]) or language.leads(one[1])))
    for one, other in combinations(named, 2):
        if int(other[2]) in rivals[int(one[2])]:
            yield "value with its name", exchanged(text, one, other)
    for denial in _NOT.finditer(text):
        rest = text[: denial.start()] + text[denial.end() :]
        for verb in _VERB.finditer(rest):
            if verb.end() != denial.start():
                yield "not", rest[: verb.end()] + denial[0] + rest[verb.end() :]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--show", action="store_true")
    show = arguments.parse_args().show
    total, caught = Counter[str](), Counter[str]()
    for name in DOMAINS:
        domain = read_domain(name)
        for retelling in domain.retellings:
            source = domain.sources[retelling.story]
            if retelling.kind or check_grounding(retelling.text, source).faults:
                continue
            for kind, text in changes(retelling.text, source):
                is_caught = bool(check_grounding(text, source).faults)
                total[kind] += 1
                caught[kind] += is_caught
                if show and not is_caught:
                    print(f"{kind}: {name} {retelling.story}: {text}")
    for kind in sorted(total):
        print(f"{kind}: {caught[kind]} of {total[kind]} ({caught[kind] / total[kind]:.1%})")


if __name__ == "__main__":
    main()
