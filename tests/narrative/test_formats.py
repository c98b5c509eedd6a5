"""Formats of records: what they say of themselves agrees, and a file of records shows its format."""

from storymesh.narrative.formats import FORMATS, format_of_columns, template_slots

BESIDE = ("id", "case_id", "split", "at", "facts", "sources", "retellings")


def test_a_file_shows_its_format_by_its_columns() -> None:
    found = {name: format_of_columns([*BESIDE, *item.columns]) for name, item in FORMATS.items()}
    assert found == dict(FORMATS)
    assert format_of_columns(BESIDE) is None


def test_a_slot_of_one_name_means_the_same_in_every_format() -> None:
    slots = template_slots()
    assert all(slots[slot.name] == slot for item in FORMATS.values() for slot in item.slots)


def test_every_text_has_a_slot_and_a_described_column() -> None:
    for item in FORMATS.values():
        assert {text.slot for text in item.texts} == set(item.slots), item.name
        assert set(item.text_columns) <= set(item.columns), item.name
        assert item.label is None or item.label in item.columns, item.name


def test_a_record_gives_back_the_texts_that_it_was_assembled_of() -> None:
    for item in FORMATS.values():
        texts = {text.name: f"words of {text.name}" for text in item.texts}
        record = item.assemble_row(texts)
        assert {text.name: words for text, words in item.texts_in(record)} == texts, item.name
        asked = [texts[text.name] for text in item.texts if text.slot.phase == "question"]
        assert item.question_in(record) == "\n".join(asked), item.name
        optional = {text.name: words for text, words in item.texts_in(record) if text.slot.required}
        assert {text.name for text, _ in item.texts_in(item.assemble_row(optional))} == set(optional), item.name
