"""What a retelling may say and what it may not: on retellings written by hand, and on chosen cases.

The retellings are in tests/grounding/retellings, the counting in benchmarks/retellings.py. The bounds stand a little
beside what was reached (docs/decisions/grounding.md), so that a change that makes a domain worse is seen.
"""

import re
from dataclasses import replace
from functools import cache

import pytest
from benchmarks.retellings import DOMAINS, count, read_domain
from hypothesis import given, settings
from hypothesis import strategies as st

from storymesh.grounding.check import MAX_FAULTS_SHOWN, check_grounding, draft_of, grounding_feedback
from storymesh.grounding.pieces import GroundingSource, Piece, PieceKind
from storymesh.grounding.placing import rivals_of
from storymesh.lexicon.language import LANGUAGES, language_of
from storymesh.rewriting.mending import mend, sentences_of

# Of each domain its faithful and its faulty texts, and the most false alarms. Of the faulty ones made of an accepted
# text 95 % are caught.
COUNTS = {
    "admissions": (30, 60, 21),
    "claims": (60, 120, 17),
    "clinical": (60, 120, 15),
    "credit": (60, 120, 14),
    "energy": (40, 60, 27),
    "german": (40, 80, 17),
    "hotel": (40, 60, 29),
    "inspections": (24, 36, 17),
    "logistics": (60, 120, 14),
    "museum": (24, 48, 18),
    "outages": (24, 48, 21),
    "theatre": (30, 60, 16),
}
MISSED = {("museum", "cause"): 1}  # faults of a kind of which all others are caught, everywhere


def told(text: str, language: str = "en", vocabulary: tuple[str, ...] = ()) -> GroundingSource:
    """Return a source written as `It left {m:on 3 May} with {n:5} mg`: a letter for the kind, and what is printed."""
    story, pieces, done = "", list[Piece](), 0
    kinds: dict[str, PieceKind] = {"m": "moment", "n": "number", "t": "text"}
    for match in re.finditer(r"\{(\w):(.*?)\}", text):
        story += text[done : match.start()]
        pieces.append(Piece(len(pieces) + 1, len(story), len(story) + len(match[2]), kinds[match[1]]))
        story, done = story + match[2], match.end()
    return GroundingSource(story + text[done:], tuple(pieces), language, vocabulary)


def kinds_of(answer: str, source: GroundingSource) -> set[str]:
    return {fault.kind for fault in check_grounding(answer, source).faults}


@cache
def counted(domain: str) -> tuple[dict[str, int], dict[str, int]]:
    total, caught = count(domain)
    return dict(total), dict(caught)


@pytest.mark.parametrize("domain", DOMAINS)
def test_faults_are_caught_and_faithful_texts_pass(domain: str) -> None:
    total, caught = counted(domain)
    faithful, faulty, alarms = COUNTS[domain]
    assert (total[""], sum(total.values()) - total[""] - total["by itself"]) == (faithful, faulty)
    assert caught["by itself"] >= 0.95 * total["by itself"]
    assert caught.get("", 0) <= alarms
    for kind in ("value", "unit", "currency", "modality", "outcome", "negation", "cause", "frame"):
        assert caught.get(kind, 0) + MISSED.get((domain, kind), 0) == total.get(kind, 0), kind


def exchanged(text: str, one: str, other: str) -> str:
    return text.replace(one, "\0").replace(other, one).replace("\0", other)


def test_values_that_change_places_in_an_accepted_text_are_found() -> None:
    tried, missed = 0, list[str]()
    for domain in DOMAINS:
        found = read_domain(domain)
        faithful = [retelling for retelling in found.retellings if not retelling.kind]
        for retelling in faithful[::4]:
            source = found.sources[retelling.story]
            if check_grounding(retelling.text, source).faults:
                continue
            for one, others in rivals_of(source).items():
                for other in (other for other in others if one < other):
                    text = exchanged(retelling.text, f"[[{one}]]", f"[[{other}]]")
                    tried += text != retelling.text
                    if text != retelling.text and not check_grounding(text, source).faults:
                        missed.append(text)
    assert tried > 300
    assert len(missed) <= 0.01 * tried, missed


@pytest.mark.parametrize(
    ("story", "kept", "lost"),
    [
        ("It waited more than {n:36} hours.", "It waited over [[1]] hours.", "It waited [[1]] hours."),
        ("It took at least {n:36} hours.", "It took no less than [[1]] hours.", "It took [[1]] hours."),
        ("It waited up to {n:36} hours.", "It waited at most [[1]] hours.", "It waited [[1]] hours."),
        ("It waited about {n:36} hours.", "Roughly [[1]] hours it waited.", "It waited [[1]] hours."),
        ("The claim {t:C-1} may be paid.", "The claim [[1]] might be paid.", "The claim [[1]] is paid."),
        ("It was allegedly sold to {t:Ada}.", "Allegedly it was sold to [[1]].", "It was sold to [[1]]."),
        ("If {t:Ada} pays, it sails.", "It sails if [[1]] pays.", "[[1]] pays, it sails."),
        ("The first crate is {t:Ada}'s.", "[[1]]'s is the first crate.", "[[1]]'s is the crate."),
        (
            "{t:Ada} lost two crates and three keys.",
            "Three keys and two crates [[1]] lost.",
            "[[1]] lost crates and keys.",
        ),
        (
            "{t:Ada} saw it and {t:Tom} sold it.",
            "[[2]] sold it and [[1]] saw it.",
            "[[1]] was there and [[2]] sold it.",
        ),
    ],
)
def test_what_bounds_counts_and_qualifies_may_be_said_otherwise_but_not_left_out(
    story: str, kept: str, lost: str
) -> None:
    source = told(story)
    assert kinds_of(kept, source) == set()
    assert "omission" in kinds_of(lost, source)


@pytest.mark.parametrize(
    ("one", "other"),
    [("two", "three"), ("nurses", "doctors"), ("approved", "rejected"), ("claim", "appeal"), ("mg", "kg")],
)
def test_words_that_change_places_are_found(one: str, other: str) -> None:
    source = told(
        "The two nurses gave {t:Ada} {n:5} mg. The three doctors weighed {t:Tom} at {n:80} kg. "
        "The claim of {m:3 May} was approved. The appeal of {m:5 June} was rejected."
    )
    kept = (
        "The appeal of [[6]] was rejected. The three doctors weighed [[3]] at [[4]] kg. The claim of [[5]] was "
        "approved. [[2]] mg the two nurses gave [[1]]."
    )
    assert kinds_of(kept, source) == set()
    assert "place" in kinds_of(exchanged(kept, one, other), source)


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_story_is_a_retelling_of_itself_and_of_no_other(domain: str) -> None:
    sources = read_domain(domain).sources
    for name, source in sources.items():
        grounding = check_grounding(source.fenced, source)
        assert (grounding.faults, grounding.text) == ((), source.story)
        for piece in grounding.pieces:
            length = piece.end - piece.begin
            assert grounding.text[piece.begin : piece.end] == source.story[piece.origin : piece.origin + length]
        others = [other.fenced for its, other in sources.items() if its != name]
        assert all(check_grounding(other, source).faults for other in others)


def sentences_in(parts: tuple[str | int, ...], source: GroundingSource) -> set[str]:
    return {
        "".join(source.texts[part] if isinstance(part, int) else part for part in sentence).strip()
        for sentence in sentences_of(parts)
    }


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_fault_is_left_in_a_mended_text(domain: str) -> None:
    found = read_domain(domain)
    kept = mended = 0
    for retelling in found.retellings:
        source = found.sources[retelling.story]
        grounding = mend(retelling.text, source)
        if grounding is None:
            continue
        assert grounding.faults == () and 0 < grounding.kept <= 1
        assert check_grounding(source.fenced, source).text == source.story
        if retelling.kind and check_grounding(retelling.text, source).faults:
            # Every sentence is the story's, or one of the faithful text that the faulty one was made of.
            left, mended = grounding.text, mended + 1
            faithful = draft_of(retelling.faithful, source).parts
            for text in sorted(sentences_in(faithful, source) | sentences_in(source.parts, source), key=len)[::-1]:
                left = left.replace(text, "")
            kept += not left.strip(" \n")
    assert mended > 20
    assert kept >= mended - 1


def test_a_mended_text_has_the_story_s_sentences_where_its_own_are_at_fault() -> None:
    source = told(
        "The crate {t:SH-7} left {t:Busan} on {m:3 May}. It was not lost. The fee of {n:36} euros was paid. "
        "{t:Ada} signed."
    )
    told_so = (
        "On [[3]] the crate [[1]] left [[2]]. It was luckily not lost. [[5]] signed. A fee of [[4]] euros was paid."
    )
    grounding = mend(told_so, source)
    assert grounding is not None and grounding.kept == 0.5
    # "It" leans on the sentence before, so that both give way.
    assert grounding.text == (
        "The crate SH-7 left Busan on 3 May. It was not lost. Ada signed. A fee of 36 euros was paid."
    )
    for piece in grounding.pieces:
        length = piece.end - piece.begin
        assert grounding.text[piece.begin : piece.end] == source.story[piece.origin : piece.origin + length]
    assert mend("I cannot do that.", source) is None
    assert mend("", source) is None


def test_what_a_retelling_leaves_out_comes_back_when_it_is_mended() -> None:
    source = told("The crate {t:SH-7} left on {m:3 May}. Nothing was lost. The fee of {n:36} euros was paid.")
    grounding = mend("The fee was [[3]] euros, and was paid. On [[2]] left the crate [[1]].", source)
    assert grounding is not None and "Nothing was lost." in grounding.text
    assert grounding.text.startswith("The fee was 36 euros, and was paid.")


@pytest.mark.parametrize(
    ("story", "answer"),
    [
        ("The claim {t:C-1} was rejected.", "The claim [[1]] was approved."),
        ("The loss was {n:1,200} dollars.", "The loss was [[1]] euros."),
        ("The ship {t:ARGO} arrived.", "The ship [[1]] sank."),
        ("The patient {t:P-1} was discharged.", "The patient [[1]] died."),
        ("The dose was {n:5} mg.", "The dose was [[1]] g."),
        ("The loan {t:L-1} defaulted.", "The loan [[1]] was repaid."),
        ("The claim {t:C-1} was rejected.", "The claim [[1]] was rejected. The claimant had lied."),
        ("Der Antrag {t:A-1} wurde abgelehnt.", "Der Antrag [[1]] wurde genehmigt."),
        ("The claim {t:C-1} was rejected.", "I keep every name. </think> The claim [[1]] was rejected."),
    ],
)
def test_what_was_let_through_once_is_refused(story: str, answer: str) -> None:
    source = told(story, "de" if story.startswith("Der") else "en")
    assert check_grounding(source.fenced, source).faults == ()
    assert check_grounding(answer, source).faults


STORY = told("The crate {t:SH-7} left {t:Busan} on {m:3 May} and waited {n:36} hours. It was not lost.")
KEPT = "On [[3]] the crate [[1]] left [[2]] and waited [[4]] hours. It was not lost."


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (KEPT.replace("[[4]]", "[[4: 63]]"), "piece"),
        (KEPT.replace("[[4]]", "36"), "piece"),
        (KEPT.replace("[[4]]", "[[9]]"), "piece"),
        (KEPT.replace("[[4]]", "1[[4]]"), "piece"),
        (KEPT.replace("[[4]]", "-[[4]]"), "piece"),
        (KEPT.replace("[[4]]", "[[4]].5"), "piece"),
        (KEPT.replace("[[4]]", "[[4]][[4]]"), "piece"),
        (KEPT.replace("[[4]]", "[[4]]th"), "piece"),
        (KEPT.replace(" on [[3]]", "").replace("On [[3]] t", "T"), "piece"),
        (KEPT.replace("hours", "days"), "word"),
        (KEPT.replace("waited", "waited twice"), "word"),
        (KEPT.replace("crate", "costly crate"), "word"),
        (KEPT.replace("[[4]]", "- [[4]]"), "piece"),
        (KEPT.replace("[[4]]", "– [[4]]"), "piece"),
        (KEPT.replace("[[4]]", "−[[4]]"), "piece"),
        (KEPT.replace("[[4]]", "—[[4]]"), "piece"),
        (KEPT.replace("[[4]]", "([[4]])"), "piece"),
        (KEPT.replace("[[4]]", "[[4]]½"), "piece"),
        (KEPT.replace("[[4]]", "[[4]]²"), "piece"),
        (KEPT.replace("waited", "waited ٣"), "word"),
        (KEPT.replace("waited", "waited XII"), "word"),
        (KEPT.replace("waited", "waited Ⅻ"), "word"),
        (KEPT.replace("waited", "waited 三"), "word"),
        (KEPT.replace("waited", "barely waited"), "word"),
        (KEPT.replace("lost", "unlost"), "word"),
        (KEPT.replace("waited", "had to have waited"), "word"),
        (KEPT.replace("waited", "was going to have waited"), "word"),
        (KEPT.replace("It was not lost.", "Was it not lost?"), "text"),
        (KEPT.replace("not", "no\u200bt"), "text"),
        (KEPT.replace("not", "NOT"), "text"),
        (KEPT.replace("not", "(not)"), "text"),
        (KEPT.replace("lost", "\u202etsol\u202c"), "text"),
        (KEPT.replace("lost", "l\u043est"), "word"),
        (KEPT.replace("not lost", "not not lost"), "negation"),
        (KEPT.replace("waited", "waited until June"), "word"),
        (KEPT.replace("not lost", "lost"), "omission"),
        (KEPT.replace(" It was not lost.", ""), "omission"),
        (KEPT.replace("crate [[1]] left [[2]]", "crate did not leave [[1]], left [[2]]"), "negation"),
        (KEPT.replace("[[4]] hours", "[[4]]"), "omission"),
        (f"“{KEPT}”", "text"),
        (f"<b>{KEPT}</b>", "text"),
        ("", "text"),
        ("[[1]]" * 30_000, "text"),
    ],
    ids=str,
)
def test_each_fault_has_its_kind(answer: str, kind: str) -> None:
    assert check_grounding(KEPT, STORY).faults == ()
    assert kind in kinds_of(answer, STORY)


def test_who_does_something_is_not_made_the_one_to_whom_it_is_done() -> None:
    source = told("The claim {t:C-1} may be paid by {t:Ada}.")
    assert kinds_of("By [[2]] the claim [[1]] may be paid.", source) == set()
    assert kinds_of("The claim [[1]] may be paid to [[2]].", source) == {"word"}


def test_a_denial_stays_before_what_the_story_denies() -> None:
    source = told("The insurer did not pay the claim {t:C-1} to {t:Ada}.")
    assert kinds_of("The claim [[1]] the insurer did not pay to [[2]].", source) == set()
    assert kinds_of("The insurer did pay the claim [[1]] not to [[2]].", source) == {"negation"}


def test_numbers_of_two_units_need_no_neighbour_to_be_told_apart() -> None:
    source = told(
        "{t:Arva} delivered {n:91} percent at {n:40} dollars, and {t:Belo} delivered {n:85} percent at {n:60} dollars."
    )
    kept = "At [[3]] dollars [[1]] delivered [[2]] percent, and at [[6]] dollars [[4]] delivered [[5]] percent."
    assert kinds_of(kept, source) == set()
    assert "place" in kinds_of(
        kept.replace("[[3]]", "[[9]]").replace("[[6]]", "[[3]]").replace("[[9]]", "[[6]]"), source
    )


@pytest.mark.parametrize(
    "frame",
    [
        "Sure! Here is the story again:\n\n%s",
        "%s\n\nI hope this helps!",
        "```\n%s\n```",
        "<think>\nI keep all.\n</think>\n\n%s",
        "[THINK]The crate [[1]] left, so I keep [[2]], [[3]] and [[4]].[/THINK]\n%s",
        "I begin with [[1]] and [[2: Pusan]].\n\n%s\n\nEach of [[3]] and [[4]] is there.",
        "%s\n\nOr:\n\n%s",
        "On [[3]] the crate [[1]] sank off [[2]] after [[4]] hours.\n%s",
        '{"name": "tell", "arguments": {}}\n%s',
    ],
    ids=str,
)
def test_what_stands_around_a_retelling_is_cut(frame: str) -> None:
    assert check_grounding(frame.replace("%s", KEPT), STORY).text == check_grounding(KEPT, STORY).text


@pytest.mark.parametrize(
    "frame",
    [
        "<think>I keep all.</think>%s",
        "[THINK]%s[/THINK]",
        "assistant: %s",
        '"%s"',
        "%s</s>",
        "<|channel|>final<|message|>%s",
        "‘%s’",
        "'%s'",
        "**%s**",
        "%s ✓",
    ],
    ids=str,
)
def test_what_cannot_be_cut_is_refused(frame: str) -> None:
    assert check_grounding(frame % KEPT, STORY).faults


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("On", "<|channel|>analysis<|message|>It sank.<|end|><|channel|>final<|message|>On"),
        ("On", "I'm sorry, I cannot. On"),
        ("lost.", "lost.<!-- it sank -->"),
        ("lost.", "lost.[^1]\n\n[^1]: It sank."),
        ("lost.", "lost. (In German: Die Kiste sank.)"),
        ("not", "~~not~~"),
        ("not", "n\u00adot"),
        ("not", "no\u0336t"),
        ("not", "&#110;ot"),
        ("the crate", "[the crate](http://example.com)"),
        ("waited", "waited \U0001d7d1"),
        ("[[4]]", "[[4: 3 May]]"),
        ("[[2]]", "[[2: Bus]]an"),
        ("[[2]]", "[[2: Bus]][[2: an]]"),
        ("[[4]]", "[[[4]]]"),
        ("[[4]]", "~[[4]]"),
        ("[[4]]", "±[[4]]"),
        ("[[4]]", ">[[4]]"),
        ("[[4]]", "$[[4]]"),
        ("[[4]]", "[[4]]k"),
        ("[[4]]", "[[4]]%"),
        ("[[4]]", "[[4]] x 2"),
        ("[[4]]", "about [[4]]"),
    ],
)
def test_a_text_with_more_or_less_than_the_story_is_refused(old: str, new: str) -> None:
    assert check_grounding(KEPT.replace(old, new, 1), STORY).faults


def test_a_piece_in_single_brackets_is_taken_with_its_own_text_alone() -> None:
    assert check_grounding(KEPT.replace("[[4]]", "[4: 36]"), STORY).text == check_grounding(KEPT, STORY).text
    for other in ("[4: 63]", "[4]", "[4:]", "[9: 36]", "[4: 36", "[4: [36]]"):
        assert check_grounding(KEPT.replace("[[4]]", other), STORY).faults


def test_rows_of_a_list_are_told_one_after_the_other() -> None:
    steps = [("steps", row, name) for row in (0, 1) for name in ("action", "cost")]
    source = told("They chose {t:rail} at {n:10} euros. They chose {t:air} at {n:20} euros.")
    rows = tuple(
        Piece(piece.number, piece.begin, piece.end, piece.kind, path=path)
        for piece, path in zip(source.pieces, steps, strict=True)
    )
    source = GroundingSource(source.story, rows)
    assert check_grounding("They chose [[3]] at [[4]] euros, and chose [[1]] at [[2]] euros.", source).faults == ()
    assert "place" in kinds_of("They chose [[1]] at [[4]] euros. They chose [[3]] at [[2]] euros.", source)


def test_a_vocabulary_adds_words_but_no_weighty_ones() -> None:
    source = told("The crate {t:SH-7} left.", vocabulary=("vessel", "sank", "seven", "not"))
    assert check_grounding("The crate [[1]], a vessel, left.", source).faults == ()
    for word in ("sank", "seven", "not"):
        assert kinds_of(f"The crate [[1]] {word} left.", source) == {"word"}


def test_another_language_is_another_file_of_words() -> None:
    source = told("Die Sendung {t:SH-7} von {t:Busan} nach {t:Emden} wartete {n:36} Stunden. Sie kam nicht an.", "de")
    assert set(LANGUAGES) == {"de", "en"}
    kept = "Von [[2]] nach [[3]] wartete die Sendung [[1]] [[4]] Stunden. Sie kam nicht an."
    assert kinds_of(kept, source) == set()
    assert kinds_of(kept.replace("[[4]]", "ganze [[4]]"), source) == {"word"}
    assert "place" in kinds_of(
        kept.replace("[[2]]", "[[9]]").replace("[[3]]", "[[2]]").replace("[[9]]", "[[3]]"), source
    )
    assert "word" in kinds_of(kept.replace("Stunden", "Tage"), source)
    assert "omission" in kinds_of(kept.replace("nicht ", ""), source)
    with pytest.raises(KeyError):
        language_of("../en")


@pytest.mark.parametrize(
    "faithful",
    [
        "Sie kam am [[2]] in [[1]] nicht an. Das Labor lehnte die Probe [[3]] ab, und das Fieber fiel nicht.",
        "In [[1]] ist sie am [[2]] nicht angekommen. Die Ablehnung der Probe [[3]] kam vom Labor. Kein Fieber fiel.",
    ],
)
def test_a_verb_and_its_particle_are_one_word_wherever_they_stand(faithful: str) -> None:
    story = told(
        "In {t:Emden} kam sie am {m:3. Mai} nicht an. Das Labor hat die Probe {t:P-4} abgelehnt. Das Fieber ist nicht "
        "gefallen.",
        "de",
    )
    assert kinds_of(faithful, story) == set()
    for change in (("kam am", "sah am"), (" ab,", " zu,"), ("nicht an.", "nicht auf."), ("angekommen", "umgekommen")):
        assert change[0] not in faithful or kinds_of(faithful.replace(*change), story), change


def test_what_the_mesh_calls_a_value_may_stand_right_by_it() -> None:
    story = told("The crate {t:SH-7} left with {n:36} boxes on {m:3 May}.")
    named = [
        replace(piece, path=("crate", name))
        for piece, name in zip(story.pieces, ("id", "boxCount", "sailing_day"), strict=True)
    ]
    source = GroundingSource(story.story, tuple(named))
    assert (
        kinds_of("The crate [[1]] left with a count [[2]] of boxes on the date [[3]], the sailing [[3]].", source)
        == set()
    )
    assert kinds_of("The crate count [[1]] left with [[2]] boxes on [[3]].", source) == {"word"}


def test_words_of_one_family_and_of_one_meaning_stand_for_each_other() -> None:
    source = told("The guest {t:Ada} complained on {m:3 May}, and the hotel responded. The repair began on {m:5 May}.")
    kept = (
        "The complaint of guest [[1]] was of [[2]], and there was a response of the hotel. On [[3]] started the repair."
    )
    assert kinds_of(kept, source) == set()
    assert kinds_of(kept.replace("started", "ended"), source) == {"word"}
    assert kinds_of(kept.replace("complaint", "compliment"), source) == {"word"}


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        ("It took [[2]] hours to repair the line [[1]]: a branch fell.", True),
        ("The line [[1]] was to be repaired in [[2]] hours: a branch fell.", False),
        ("The line [[1]] had to be repaired in [[2]] hours: a branch fell.", False),
        ("In [[2]] hours the line [[1]] was repaired: a branch fell during the repair.", True),
        ("In over [[2]] hours the line [[1]] was repaired: a branch fell.", False),
        ("In over thirty hours, [[2]] hours, the line [[1]] was repaired: a branch fell.", False),
        ("The line [[1]] was repaired in [[2]] hours, because a branch fell.", False),
        ("The line [[1]] might be repaired in [[2]] hours: a branch fell.", False),
        ("A branch fell, and it took [[2]] hours until the line [[1]] was repaired.", True),
        ("A branch fell until the line [[1]] was repaired in [[2]] hours.", False),
    ],
)
def test_leads_before_words_and_infinitives_add_nothing(answer: str, accepted: bool) -> None:
    source = told("A branch fell. The line {t:L-2} was repaired in {n:30} hours.")
    assert (check_grounding(answer, source).faults == ()) is accepted


def test_reasons_and_outcomes_stay_with_what_they_are_said_of() -> None:
    source = told(
        "The insurer accepted the damage of {n:30} euros and declined the loss of {n:40} euros, because the door stood "
        "open. The crew was paid late and the musicians were paid in {m:May}."
    )
    kept = (
        "Because the door stood open, the insurer declined the loss of [[2]] euros; it accepted the damage of [[1]] "
        "euros. The musicians were paid in [[3]] and the crew was paid late."
    )
    assert kinds_of(kept, source) == set()
    assert "place" in kinds_of(kept.replace("damage", "x").replace("loss", "damage").replace("x", "loss"), source)
    assert kinds_of(kept.replace("crew", "x").replace("musicians", "crew").replace("x", "musicians"), source) == {
        "place"
    }
    assert "place" in kinds_of(kept.replace("the door stood open", "the crew stood"), source)


def test_words_that_name_a_text_name_no_other() -> None:
    source = told(
        "The turbine {t:WT-14} in park {t:North Sea} failed. Inspector {t:Ada Reyes} checked the car of {t:Tom Hill}."
    )
    kept = "In park [[2]] the turbine [[1]] failed, and the car of [[4]] was checked by inspector [[3]]."
    assert kinds_of(kept, source) == set()
    assert "place" in kinds_of(
        kept.replace("[[2]]", "[[9]]").replace("[[1]]", "[[2]]").replace("[[9]]", "[[1]]"), source
    )
    owned = "The car of [[3]] was checked by [[4]]. In park [[2]] the turbine [[1]] failed."
    assert "place" in kinds_of(owned, source)


def test_the_model_is_told_what_is_wrong_but_not_too_much() -> None:
    text = KEPT.replace("waited", " ".join(f"gladly{chr(97 + at)}" for at in range(20)))
    lines = grounding_feedback(check_grounding(text, STORY)).splitlines()
    assert "“gladlya” is no word of the story." in lines[1]
    assert len(lines) == MAX_FAULTS_SHOWN + 3
    assert grounding_feedback(check_grounding(KEPT, STORY)) == ""


PARTS = st.sampled_from(
    ["[[1]]", "[[2: Busan]]", "[[", "]]", "[[3:", ":", "36", "not ", "The crate ", "hours", ".", "\n", "“", "{"]
)


@settings(max_examples=200)
@given(st.lists(PARTS | st.text(max_size=4), max_size=25).map("".join))
def test_no_answer_makes_it_fail_and_no_value_is_the_model_s(answer: str) -> None:
    grounding = check_grounding(answer, STORY)
    if not grounding.faults:
        words, done = "", 0
        for piece in grounding.pieces:
            words, done = words + grounding.text[done : piece.begin], piece.end
        assert not re.search(r"\d", words + grounding.text[done:])


@settings(max_examples=60)
@given(st.text(max_size=80), st.text(alphabet="[]:1 xé", max_size=8) | st.text(max_size=12))
def test_a_fenced_story_is_itself_whatever_its_data(words: str, value: str) -> None:
    value = value.strip() or "x"
    story = f"The crate {value} left.{words}"
    source = GroundingSource(story, (Piece(1, 10, 10 + len(value)),))
    grounding = check_grounding(source.fenced, source)
    assert "[[1]]" in source.fenced or "[[1: " in source.fenced
    assert all(fault.kind != "piece" or "stands right" in fault.because for fault in grounding.faults)
