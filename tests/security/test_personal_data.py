"""Personal data in free text is found in spellings that people use to be read by people only, in linear time."""

import random
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from storymesh.dataset.personal_data import MASKS, find_personal_texts
from storymesh.dataset.personal_data_finder import PersonalDataFinder, PersonNames
from storymesh.dataset.plain_spelling import plain_text
from storymesh.engine.open import open_engine

NAMES = PersonNames.from_values(["Ann Example", "José Ñandú", "de la Cruz, María", "Nguyễn Văn An", "Иван Петров"])
FINDER = PersonalDataFinder(NAMES, ("DE",))

SPELLINGS = {
    "e-mail": [
        "ann @ example.com",
        "ann@ example.com",
        "ann@example . com",
        "ann at example dot com",
        "ann.example AT mail DOT example DOT org",
        "ann {at} example {dot} com",
        "ann <at> example <dot> com",
        "ann ( at ) example ( dot ) com",
        "ann&#64;example.com",
        "ann&commat;example.com",
        "ann%40example.com",
        "ann＠example．com",
        "ａｎｎ@example.com",
        "ann\u200b@\u200bexample.com",
        "ann@exam\u00adple.com",
        "ann\u00a0@\u00a0example.com",
        "ann@почта.рф",
        "ann@xn--80a1acny.xn--p1ai",
        "анна@пример.рф",
        "ann@例え。jp",
        "𝐚𝐧𝐧@example.com",
        "аnn@exаmple.com",
        "ann@exаmple.соm",
        "αnn@example.com",
        "a\u0336n\u0336n\u0336@example.com",
        "ann@\u2800example.com",
        "ann (ät) example (punkt) de",
        "ann [arroba] example [punto] com",
        "ann {chiocciola} example.com",
        "ann&#064;example&#46;com",
        "ann%40example%2Ecom",
        "ann dot example at mail dot com",
        "Ann underscore Example at Mail dot co dot uk",
        "ann punkt example at mail punkt de",
        "ann arroba ejemplo punto com",
        "ann.example at example.com",
        "ann_example at mail.example.com",
    ],
    "phone": [
        "+49\u00a030\u00a0901820",
        "+49\u200930\u2009901820",
        "＋４９ ３０ ９０１８２０",
        "+٤٩ ٣٠ ٩٠١٨٢٠",
        "+४९ ३० ९०१८२०",
        "+49\u201130\u2011901820",
        "+49 30 901\u200b820",
        "+4\u2060930901820",
        "+49–30–901820",
        "𝟎𝟎𝟒𝟗 30 901820",
        "+4\ufe0f\u20e39\ufe0f\u20e3 30 901820",
        "+49\u280030\u2800901820",
        "+៤៩ ៣០ ៩០១៨២០",
        "+༤༩ ༣༠ ༩༠༡༨༢༠",
        "+᠔᠙ ᠓᠐ ᠙᠐᠑᠘᠒᠐",
        "+꘤꘩ ꘣꘠ ꘩꘠꘡꘨꘢꘠",
        "zero six, twelve, thirty four, fifty six, seventy eight",
        "plus four nine, three zero, nine zero one eight two zero",
        "oh two oh, seven nine four six, double oh one",
        "five five five - one two one two",
        "zéro six douze trente-quatre cinquante-six soixante-dix-huit",
        "null drei null, neun null eins acht zwei null",
        "cero seis, uno dos, tres cuatro, cinco seis",
    ],
    "iban": [
        "de89370400440532013000",
        "DE89.3704.0044.0532.0130.00",
        "DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000",
        "DE89  3704  0044  0532  0130  00",
        "DE 89 3704 0044 0532 0130 00",
        "DE89_3704_0044_0532_0130_00",
        "ＤＥ８９ ３７０４ ００４４ ０５３２ ０１３０ ００",
        "DE89\u200b3704\u200b0044\u200b0532\u200b0130\u200b00",
        "DE89–3704–0044–0532–0130–00",
        "DE89/3704/0044/0532/0130/00",
        "DЕ89 3704 0044 0532 0130 00",
    ],
    "card": [
        "4111.1111.1111.1111",
        "4111  1111  1111  1111",
        "4111\u00a01111\u00a01111\u00a01111",
        "４１１１ １１１１ １１１１ １１１１",
        "٤١١١١١١١١١١١١١١١",
        "4111_1111_1111_1111",
        "4111–1111–1111–1111",
        "4111\u200b1111\u200b1111\u200b1111",
        "4111/1111/1111/1111",
        "3782 822463 10005",
        "41 11 11 11 11 11 11 11",
    ],
    "name": [
        "Example, Ann",
        "Example Ann",
        "EXAMPLE, ANN",
        "Ann\u00a0Example",
        "Ann\u200bExample"[:3] + " \u200bExample",
        "Ａｎｎ Ｅｘａｍｐｌｅ",
        "Jose Nandu",
        "NANDU, JOSE",
        "Maria de la Cruz",
        "María  de\u2003la Cruz",
        "An Nguyen Van",
        "Nguyen Van An",
        "Петров Иван",
        "A\u00adnn Exam\u00adple",
        "Аnn Еxample",
        "Ann Examрle",
        "Αnn Exαmple",
        "A\u0338nn Ex\u0334ample",
        "Ann_Example",
        "Ann.Example",
    ],
}
HARMLESS = [
    "100 @ 5.50",
    "user@host",
    "met at noon dot",
    "look at the dot there",
    "5 m² @ 3.2",
    "IMO 9811000",
    "ETA 10:30–11:45",
    "MSCU 123456 5",
    "1.234.567.890.123,00",
    "4111 1111 1111 1112",
    "DE89 3704 0044 0532 0130 01",
    "12/34/56/78/90/12/34/56",
    "①②③④⑤⑥",
    "10² 10³ 10⁴ 10⁵ 10⁶ 10⁷ 10⁸",
    "Examples of Ann",
    "annexample",
    "An example, the first",
    "Cruz de",
    "2024–03–01 to 2024–03–29",
    "53.5511, 9.9937",
    "‏שלום‏ 2024",
    "٢٠٢٤-٠٣-٠١",
    "Анна пришла в 10:30",
    "Ωmega and μm of 5 Ω",
    "π ≈ 3.14159265358979",
    "(at) noon",
    "43.59789759636001",
    "411111.1111111111",
    "10 % 40 things",
    "(point) 4 (punto)",
    "COVID-19, СССР, USSR",
    "one, two, three, four, five, six, seven, eight",
    "ten nine eight seven six five four three two",
    "nineteen eighty four, nineteen eighty five",
    "two of three, four of five",
    "the trucks three four one and seven two",
    "we met at example.com",
    "arrived at 10.30 and left at berth.3",
    "look at the dot com bubble",
]
AROUND = ["{}", "Call {} now.", "Told by ({}), who knew.", "Ankunft 10:30, {}\nEnde", "…{}…"]


@pytest.mark.parametrize(("kind", "person"), [(kind, text) for kind, texts in SPELLINGS.items() for text in texts])
def test_a_spelling_for_people_only_is_found_and_replaced_whole(kind: Any, person: str) -> None:
    for around in AROUND:
        assert FINDER.replace(around.format(person), MASKS) == (around.format(MASKS[kind]), [kind])


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    for around in AROUND:
        assert FINDER.replace(around.format(text), MASKS) == (around.format(text), [])


def test_the_engine_preselects_every_spelling() -> None:
    texts = [text for kind, texts in SPELLINGS.items() if kind != "name" for text in texts]
    with open_engine() as engine:
        table = engine.materialize(pa.table({"id": [str(n) for n in range(len(texts))], "text": texts}))
        found = find_personal_texts(engine, table, FINDER)
    assert found.num_rows == len(texts)


def test_plain_spelling_knows_where_everything_stood() -> None:
    text = "a\u200bＢ\u00a0٣\u00adz"
    plain = plain_text(text)
    assert plain.text == "aB 3z"
    assert [text[slice(*plain.original(place, place + 1))] for place in range(5)] == ["a", "Ｂ", "\u00a0", "٣", "z"]


LONG = 2**18
ADVERSARIAL = {
    "letters without an at": "a" * LONG,
    "dots without an at": "a." * (LONG // 2),
    "ats": "@" * LONG,
    "locals and ats": "a@" * (LONG // 2),
    "addresses without an end": "a@b." * (LONG // 4),
    "hyphens": "a@" + "b-" * (LONG // 2),
    "brackets": "(at)" * (LONG // 4),
    "words at": " at a dot b" * (LONG // 11),
    "words at that are none": "ann_" * (LONG // 8) + " at a." * (LONG // 12),
    "dots in words": "a dot " * (LONG // 6) + " at a dot com",
    "numbers in words": "zero one " * (LONG // 9),
    "numbers in words that are none": "two two two x " * (LONG // 14),
    "times": "double " * (LONG // 7),
    "ibans that are none": "DE89" * (LONG // 4),
    "letters and digits": "de89 " * (LONG // 5),
    "unseen signs": "\u200b" * LONG,
    "one address behind much": "a" * LONG + " ann@example.com",
}


SLACK_S = 1.0  # what takes next to nothing may take as long as it likes


def spent_on(work: Callable[[], object]) -> float:
    """Return the processor time of some work: of four times as much, a machine of any speed needs some four times that
    where it is linear, and sixteen times where it is quadratic."""
    began = time.process_time()
    work()
    return time.process_time() - began


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_a_long_value_takes_linear_time(name: str) -> None:
    finder, text = PersonalDataFinder(NAMES), ADVERSARIAL[name]
    quarter = spent_on(lambda: finder.find(text[-len(text) // 4 :]))
    found: list[object] = []
    assert spent_on(lambda: found.extend(finder.find(text))) < 10 * quarter + SLACK_S
    assert bool(found) == (name == "one address behind much")


def test_digits_take_linear_time() -> None:
    rng = random.Random(7)
    text = "".join(rng.choice("0123456789 -+") for _ in range(5_000))
    finder = PersonalDataFinder()
    quarter = spent_on(lambda: finder.find(text[:1_250]))
    assert spent_on(lambda: finder.find(text)) < 10 * quarter + SLACK_S
