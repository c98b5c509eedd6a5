"""Formats of records: what they say of themselves agrees, and a file of records shows its format."""

from storymesh.narrative.formats import FORMATS, format_of_columns, template_slots

BESIDE = ("id", "case_id", "split", "at", "facts", "sources", "retellings")


def test_a_file_shows_its_format_by_its_columns() -> None:
    found = {name: format_of_columns([*BESIDE, *one.columns]) for name, one in FORMATS.items()}
    assert found == dict(FORMATS)
    assert format_of_columns(BESIDE) is None


def test_a_slot_of_one_name_means_the_same_in_every_format() -> None:
    slots = template_slots()
    assert all(slots[slot.name] == slot for one in FORMATS.values() for slot in one.slots)


def test_every_text_has_a_slot_and_a_described_column() -> None:
    for one in FORMATS.values():
        assert {text.slot for text in one.texts} == set(one.slots), one.name
        assert set(one.text_columns) <= set(one.columns), one.name
        assert one.label is None or one.label in one.columns, one.name


def test_a_record_gives_back_the_texts_that_it_was_assembled_of() -> None:
    for one in FORMATS.values():
        texts = {text.name: f"words of {text.name}" for text in one.texts}
        record = one.assemble_row(texts)
        assert {text.name: words for text, words in one.texts_in(record)} == texts, one.name
        asked = [texts[text.name] for text in one.texts if text.slot.phase == "question"]
        assert one.question_in(record) == "\n".join(asked), one.name
        optional = {text.name: words for text, words in one.texts_in(record) if text.slot.required}
        assert {text.name for text, _ in one.texts_in(one.assemble_row(optional))} == set(optional), one.name
