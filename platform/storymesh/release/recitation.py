"""What answers recite: values that stand neither in the question nor in other answers, so that no model can know them.

A model that learns to say such values learns to invent. What a sentence says is taken together: that an option was
tried 24 times and worked 21 times is in few answers, though many have a 24 somewhere. Values are known by the templates
that print them, not by how they look. A sample of the answers for training is measured, by the digests of their ids.
Of a config that a model retold, what the templates gave is measured: a retelling keeps their values and adds none.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.dataset.stages import typed_record
from storymesh.dataset.tables import add_precedents, cases_with_splits
from storymesh.language.marked_values import END, TEXT, VALUE, mark_values
from storymesh.release.manifest import RecitationSummary
from storymesh.release.record_sample import sample_order

if TYPE_CHECKING:
    from ibis.expr.types import ArrayValue, StringValue, Table

    from storymesh.dataset.build import Build
    from storymesh.engine.engine import Engine
    from storymesh.language.ast import Output
    from storymesh.narrative.formats.format import TextColumn
    from storymesh.narrative.typed_record import TypedRecord

SAMPLE = 2_000  # answers; with 5,000 the share is the same within a hundredth and a release takes a tenth longer
SHARED = 10  # other answers that say the same make it something to learn
BOUND = 0.05  # of the characters of all answers
MIN_ANSWERS = 10 * SHARED  # answers, for a warning: among fewer hardly anything is said often enough
MAX_PLACES = 5
TAUGHT = frozenset({("option", "action")})  # what a preference is about: its label says whether it is right
_SENTENCE_END = r"([.!?;])\s+"


def measure_recitation(
    build: "Build", engine: "Engine", files: Mapping[str, Sequence[Path]]
) -> dict[str, RecitationSummary]:
    """Return what the answers of each config recite, measured on its records in `files`; nothing of one without a
    sentence. The configs have answers that templates give. Cases are read once for all of them."""
    import ibis

    if not files:
        return {}
    samples = {
        config: engine.materialize(_sample(engine.read_parquet(paths), typed_record(build, config)))
        for config, paths in files.items()
    }
    ids = [sample.select("case_id") for sample in samples.values()]
    chosen = cases_with_splits(build, engine).semi_join(ibis.union(*ids), "case_id")
    cases = engine.materialize(add_precedents(chosen, build, engine))
    try:
        found = {
            config: _measure_config(build, engine, config, cases.semi_join(sample, "case_id"), sample)
            for config, sample in samples.items()
        }
    finally:
        for table in (cases, *samples.values()):
            engine.drop(table)
    return {config: summary for config, summary in found.items() if summary is not None}


def _sample(records: "Table", record: "TypedRecord") -> "Table":
    """Return case_id of a sample of records, and for each text that answers, what was asked before it."""
    import ibis

    from storymesh.engine import dialect

    asked = {
        f"asked_{place}": text.value_in(records)
        for place, text in enumerate(record.texts)
        if text.slot.phase != "answer"
    }
    digests = records.select("case_id", order=sample_order(records), **dialect.name_columns(asked))
    chosen = digests.order_by("order").limit(SAMPLE)
    questions: list[StringValue] = []
    before: list[StringValue] = [ibis.literal("")]
    for place, text in enumerate(record.texts):
        if text.slot.phase == "answer":
            questions.append(_normalize(dialect.concat_texts(before)))
        else:  # as its template gives it, since no model retells it
            before.append(chosen[f"asked_{place}"].coalesce(""))
    columns = {f"question_{place}": question for place, question in enumerate(questions)}
    return chosen.select("case_id", **dialect.name_columns(columns))


def _measure_config(
    build: "Build", engine: "Engine", config: str, cases: "Table", sample: "Table"
) -> RecitationSummary | None:
    from storymesh.dataset.render import template_inputs

    record = typed_record(build, config)
    inputs = engine.materialize(template_inputs(cases, build.typed, record).inner_join(sample, "case_id"))
    try:
        said, outputs = _sentences(inputs, record, build.pseudonym_key)
        sentences = engine.materialize(said)
        try:
            return _summary(engine, sentences, outputs)
        finally:
            engine.drop(sentences)
    finally:
        engine.drop(inputs)


def answers_of(record: "TypedRecord") -> "list[TextColumn]":
    """Return the texts of a config that answer."""
    return [text for text in record.texts if text.slot.phase == "answer"]


def recitation_warnings(found: Mapping[str, RecitationSummary]) -> Iterator[str]:
    """Yield a sentence for each config whose answers recite more than BOUND of their characters."""
    for config, summary in found.items():
        if summary.answers >= MIN_ANSWERS and summary.share > BOUND:
            most = " and ".join(list(summary.places)[:2])
            yield (
                f"{summary.share:.0%} of what the answers of '{config}' say nobody can know from their questions, and "
                f"fewer than {SHARED} other answers say it: a model learns to invent it (most by {most})"
            )


def _sentences(inputs: "Table", record: "TypedRecord", key: bytes) -> "tuple[Table, list[Output]]":
    """Return a row for each sentence of each answer: case_id, characters, and `unknown`, the values that its question
    does not have, each as `place` and `text`. The places are numbers of the outputs that are returned too."""
    import ibis

    from storymesh.engine import dialect
    from storymesh.engine.cse import eliminate_common
    from storymesh.language.compile.templates import compile_template

    names = {name.removeprefix("n_"): inputs[name] for name in inputs.columns if name.startswith("n_")}
    case_id = inputs["case_id"]
    outputs: list[Output] = []
    answers: list[tuple[StringValue, int]] = []  # each with its first place
    for text in answers_of(record):
        visible = {**names, "option": names[f"option_{text.option}"]} if text.option else names
        marked, own = mark_values(record.slots[text.slot.name].checked.tree, TAUGHT)
        # The places of one template go on where those of the template before it end.
        answers.append((compile_template(marked, visible, case_id, key), len(outputs)))
        outputs += own
    columns = {f"answer_{place}": answer for place, (answer, _) in enumerate(answers)}
    questions = [f"question_{place}" for place in range(len(answers))]
    texts = inputs.select("case_id", *questions, **dialect.name_columns(columns))
    told = dialect.materialization_barrier(eliminate_common(texts))
    parts = [
        told.select(
            "case_id",
            question=told[f"question_{place}"],
            first=ibis.literal(first, "int64"),
            sentence=told[f"answer_{place}"].re_replace(_SENTENCE_END, "\\1\n").split("\n").unnest(),
        )
        for place, (_, first) in enumerate(answers)
    ]
    sentences = dialect.materialization_barrier(ibis.union(*parts))
    values = dialect.materialization_barrier(
        sentences.select(
            "case_id", "question", "first", characters=_bare_length(sentences), values=_values(sentences["sentence"])
        )
    )
    unknown = dialect.filter_items(
        values["values"],
        lambda value: ~values["question"].contains(_normalize(value["text"])) & (value["text"] != ""),
    )
    return values.filter(values["characters"] > 0).select("case_id", "first", "characters", unknown=unknown), outputs


def _bare_length(sentences: "Table") -> "StringValue":
    """Return how many characters a sentence has without its marks."""
    return sentences["sentence"].re_replace(f"{VALUE}[0-9]+{TEXT}|{END}", "").length()


def _values(sentence: "StringValue") -> "ArrayValue":
    """Return the marked values of a sentence as structs of `place` and `text`."""
    import ibis

    from storymesh.engine import dialect

    parts = dialect.filter_items(sentence.split(VALUE), lambda part: part.contains(TEXT))
    return dialect.map_items(
        parts,
        lambda part: ibis.struct({"place": part.split(TEXT)[0], "text": part.split(TEXT)[1].split(END)[0]}),
    )


def _normalize(text: "StringValue") -> "StringValue":
    """Return the words of a text in small letters, with a space around each, to look for one text in another."""
    import ibis

    from storymesh.engine import dialect

    words = text.lower().re_replace(
        r"[^\p{L}\p{N} ][^\p{L}\p{N}]*| [^\p{L}\p{N}]+", " "
    )  # lone spaces stay as they are
    return dialect.concat_texts([ibis.literal(" "), words.strip(), ibis.literal(" ")])


def _summary(engine: "Engine", sentences: "Table", outputs: "Sequence[Output]") -> RecitationSummary | None:
    import ibis

    from storymesh.engine import dialect

    said = dialect.map_items(
        sentences["unknown"], lambda value: dialect.concat_texts([value["place"], ibis.literal("="), value["text"]])
    )
    keyed = sentences.mutate(said=ibis.ifelse(sentences["unknown"].length() > 0, said.join("\n"), ibis.null("string")))
    sharing = (
        keyed.filter(keyed["said"].notnull()).group_by("first", "said").aggregate(answers=keyed["case_id"].nunique())
    )
    rare = sharing.filter(sharing["answers"] <= SHARED)
    recited = engine.materialize(keyed.semi_join(rare, ["first", "said"]))
    try:
        (every,) = engine.fetch_rows(
            sentences.aggregate(answers=sentences["case_id"].nunique(), characters=sentences["characters"].sum())
        )
        (told,) = engine.fetch_rows(
            recited.aggregate(answers=recited["case_id"].nunique(), characters=recited["characters"].sum())
        )
        values = recited.select("first", value=recited["unknown"].unnest())
        counted = values.select(place=values["first"] + values["value"]["place"].cast("int64"))
        places = engine.fetch_rows(counted.group_by("place").aggregate(values=counted.count()))
    finally:
        engine.drop(recited)
    if not every["answers"]:
        return None
    found: dict[str, int] = {}
    for row in sorted(places, key=lambda row: (-row["values"], row["place"])):
        output = outputs[row["place"]]
        name = f"{output.at.path.rpartition('/')[2]}:{output.at.line} {{{{ {' '.join(output.written.split())} }}}}"
        found[name] = found.get(name, 0) + row["values"]
    return RecitationSummary(
        answers=every["answers"],
        reciting=told["answers"],
        characters=int(every["characters"]),
        recited=int(told["characters"] or 0),
        places=dict(list(found.items())[:MAX_PLACES]),
    )
