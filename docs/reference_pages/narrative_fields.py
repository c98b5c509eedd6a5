"""What each field of a `narrative.yaml` means, in words: its sections, and the fields of each."""

from collections.abc import Mapping

from pydantic import BaseModel

from storymesh.case import definition as case
from storymesh.llm import asked_model
from storymesh.narrative import definition as narrative
from storymesh.narrative import evaluation_definition as evaluation
from storymesh.narrative import narrator_definition as narrator
from storymesh.narrative import split_definition, tool_definition
from storymesh.narrative.formats import template_slots

# Heading -> the model of its fields, and a sentence before them.
SECTIONS: Mapping[str, tuple[type[BaseModel], str]] = {
    "The file": (narrative.NarrativeFile, ""),
    "case": (case.Case, "What a case is: one for each row of the anchor."),
    "case.links.<role>": (
        case.Link,
        (
            "How rows of a role belong to a case: by key, by time, or both. There is at most one of `within`, "
            "`overlaps` and `as_of`. Bounds are inclusive."
        ),
    ),
    "within": (case.Within, "The row's event time lies between these two, counted from the moment of the case."),
    "overlaps": (case.Overlaps, "The row's interval contains the moment of the case. An end that is null is open."),
    "as_of": (
        case.AsOf,
        "The latest row whose event time is not after the moment of the case. It has no fields: `{}`.",
    ),
    "case.outcome": (
        case.Outcome,
        (
            "What was done and whether it worked. A case that is not closed is *open*; a closed one in which one of "
            "the three is null is *unjudged*. Only judged cases are answered or serve as precedents."
        ),
    ),
    "case.precedents": (
        case.Precedents,
        (
            "Which earlier, judged cases count for a case: of those in the period of its split or an earlier one, "
            "whether or not they have a record, that were known before its day."
        ),
    ),
    "records.<config>": (narrative.Record, "One subset of the dataset. Which templates it needs, its format says."),
    "records.<config>.tool": (
        tool_definition.Tool,
        (
            "What the assistant looks up before it answers, in a record of the format `tool_calls`. The release "
            "declares it in its column `tools`, with what each argument can be by its contract."
        ),
    ),
    "records.<config>.tool.arguments.<name>": (tool_definition.Argument, "What the assistant calls the tool with."),
    "records.<config>.narrator": (
        narrator.Narrator,
        (
            "A language model that retells the texts of another record; its questions stay as they are. Prompts are "
            "templates in the view of what they retell, with `story` for the text that the template told. Keys stand "
            "in the environment. [How to](../how-to/retell-with-a-model.md)"
        ),
    ),
    "records.<config>.narrator.price": (asked_model.Price, "US dollars for a million tokens."),
    "records.<config>.narrator.budget": (
        asked_model.Budget,
        "What one run of the config may spend at most. It stops before a call that could pass it.",
    ),
    "records.<config>.narrator.judge": (
        narrator.ScoringModel,
        (
            "A second model that is asked of what was accepted. With a `prompt` it scores, and with `accept` it is a "
            "gate. Without a prompt it is asked whether the text says what the story does not, and lets in only what "
            "it clears."
        ),
    ),
    "length": (
        narrative.LengthLimits,
        (
            "How many characters a record has, both bounds inclusive: all that is read at once, of a preference its "
            "prompt and the longer answer. What is outside drops as `too short` or `too long`."
        ),
    ),
    "near_duplicates": (
        narrative.NearDuplicates,
        (
            "Of records whose texts are nearly the same the earliest `at`, then the smallest id stays, across splits; "
            "the others drop as `near duplicate`, with the id of the one that stays. `{}` takes the defaults. Meant "
            "for texts that a language model told: those of one template look alike by design."
        ),
    ),
    "dataset": (narrative.Dataset, ""),
    "dataset.decontaminate": (
        narrative.Decontaminate,
        (
            "A record that has so many words in a row in common with an evaluation set, without case and punctuation, "
            "drops as `in evaluation set`, and its drop names the file and the item. The release keeps hashes of the "
            "set, which give no text away."
        ),
    ),
    "dataset.split": (
        split_definition.Split,
        "By the moment of the case (`validation`, `test`) or by chance (`random`). Without it, every case is `train`.",
    ),
    "dataset.split.random": (
        split_definition.RandomSplit,
        (
            "By chance: what is kept together is drawn as a whole, by the MD5 of seed and name, which gives the "
            "same split on any machine and leaves it there when other cases come. A case's precedents are drawn for "
            "its own split or one used before it: train, validation, test."
        ),
    ),
    "evaluation": (
        evaluation.Evaluation,
        (
            "Questions with computed answers, to test a model with: the config `eval`, drawn from the cases of the "
            "test. A question that stands in a text for training drops, which the certificate proves. "
            "[How to](../how-to/evaluate-a-model.md)"
        ),
    ),
    "evaluation.tasks": (
        evaluation.EvaluationTasks,
        "What is asked of a case: templates in the view of a question. At least one of `best`, `rate` and `verdict`.",
    ),
}
FIELDS: Mapping[str, Mapping[str, str]] = {
    "The file": {
        "apiVersion": "the version of this format",
        "kind": "",
        "id": "small letters, digits and single hyphens; the folder has the same name with `_`",
        "version": "such as `1.0.0`; releases of it are `1.0.0-r1`, `1.0.0-r2`, …",
        "title": "one line, for people",
        "description": "for people",
        "owner": "a team",
        "license": "of the releases",
        "purpose": (
            "what contracts call the use that is made of their values, where data leaves a premise. "
            "[How to](../how-to/keep-data-on-its-premise.md)"
        ),
        "cast": "role → `<domain>.<product>@<major version of its contract>`",
        "case": "see below",
        "records": "config → record, at least one",
        "labels": (
            "language → `role.property` → code → what it is called in the configs of that language, for each code of "
            "the contract's enum. It holds wherever those codes stand: in facts, outcome and precedents too"
        ),
        "dataset": "see below",
        "vocabulary": "words that a retold record may have beside those of its story",
        "evaluation": "see below",
    },
    "case": {
        "anchor": "a role: there is one case for each of its rows, and `case.id` is that row's key",
        "where": (
            "an expression on the anchor alone: only rows for which it holds are cases, and the others are nobody's "
            "precedent. It reads what is known with the row, so that no case comes about by its own future"
        ),
        "at": "`<anchor>.<property>`, required by the contract: the moment at which the question is asked",
        "closes": "`<anchor>.<property>`: when the outcome is known; null means that the case is open",
        "links": (
            "role → link; a link may use the anchor and roles that stand before it; a role without a link is in no case"
        ),
        "facts": "name → expression; a fact may use facts before it",
        "outcome": "needs `closes`",
        "precedents": "needs `outcome`",
    },
    "case.links.<role>": {
        "expect": (
            "`one` and `optional` give a row, `some` (at least one) and `any` a list by event time; a case without "
            "its `one` or `some` is dropped and counted"
        ),
        "on": (
            "property of the role → `<role>.<property>` of a role before it; may be left out where one relationship "
            "of the contracts joins the two; `{}` with a rule of time asks for no key"
        ),
        "within": "by time",
        "overlaps": "by time; the role's contract needs `endTime`",
        "as_of": "by time",
    },
    "within": {"after": "may be negative", "before": "may be negative"},
    "overlaps": {"slack": "widens the interval at both ends"},
    "as_of": {},
    "case.outcome": {
        "action": "a text, mostly a code with labels",
        "score": "a number; options show its mean",
        "worked": "true or false",
    },
    "case.precedents": {
        "match": "levels, strictest first; each is a list of values that have to be equal",
        "min": "the first level with so many precedents is taken; an option tried fewer times is never best or worst",
        "quote": "how many cases an option quotes, the latest first",
        "since": (
            "only precedents that became known in so many days before the day of the case count, such as `365d` or "
            "`26w`: for a world that changes. Without it, all of them"
        ),
        "withhold": (
            "the share of the cases, drawn by their ids, that see no precedents: `enough` is false, so that the "
            "honest answer is that there are too few. They are precedents of others all the same. Or `{cases, "
            "values}`, where `values` gives expressions that every level of `match` has a share of their values, or a "
            "list of some: no case with such a value has precedents (`unseen` is true), nor a record that tells how it "
            "went; every second value is held out, it has no record before the test"
        ),
    },
    "records.<config>": {
        "format": "decides the columns, named as TRL takes them",
        "from": "another record, to be retold",
        "narrator": "with `from`",
        "where": (
            "only the cases for which this expression is true have a record, the others drop as `not selected`. It "
            "sees what was known at the moment of the case and the whole outcome; of a record in hindsight, everything"
        ),
        **{name: slot.description for name, slot in template_slots().items()},
        "language": (
            "in which the templates are written, as a tag: `de`, `fr`, `pt-PT`; numbers, dates, counts, durations and "
            "lists are printed as CLDR has them in it"
        ),
        "length": "of this config, in place of the dataset's; `{}` for none",
        "variants": "`true`: each case draws one of a template and of its variants, `variants/<config>/*.jinja`, or "
        "where the format has several templates `variants/<config>/<template>/*.jinja`, such as "
        "`variants/advice/assistant/`",
        "tool": "of the format `tool_calls`: what the assistant calls, see below",
        "near_duplicates": "of this config, in place of the dataset's",
        "chat": (
            "true: the columns are messages with role and content, as chat templates take them, false: plain texts; by "
            "default messages where there is a `system`"
        ),
        "action_cap": (
            "of pairs: no action is more than this share of the chosen, nor of the rejected answers of a split; pairs "
            "beyond it drop, drawn by their ids"
        ),
    },
    "length": {"min": "at least so many", "max": "at most so many"},
    "near_duplicates": {
        "similarity": "the share of their shingles that both have (Jaccard), from 0.5",
        "shingle": "so many words, without case and punctuation",
    },
    "records.<config>.narrator": {
        "model": "`<provider>:<name>`, as LangChain's `init_chat_model` names it",
        "prompt": "a template: what the model is asked; `story` is the text to retell, its values as numbered pieces",
        "system": "a template: the system message",
        "base_url": "of a server that speaks the provider's protocol; without it, the provider's own",
        "parameters": "of the model, such as `temperature` and `max_tokens`; no secrets",
        "attempts": "how often it is asked, the later times with what was wrong",
        "otherwise": (
            "what becomes of a text that is never accepted: `keep` the template's, `mend` it (its sentences at fault "
            "give way to the template's), or `drop` the record"
        ),
        "concurrency": "at most so many calls at once; fewer where the server asks for patience",
        "timeout": "seconds for one call",
        "price": "needed by a budget in US dollars",
        "budget": "needs `max_tokens` among the parameters",
        "judge": "off unless it stands there",
    },
    "records.<config>.narrator.price": {"input": "of what is sent", "output": "of what is answered"},
    "records.<config>.narrator.budget": {"tokens": "sent and answered", "usd": "US dollars"},
    "records.<config>.narrator.judge": {
        "model": "as of the narrator",
        "prompt": "a template, in the same view; story and retelling are shown after it. Without it, see above",
        "base_url": "as of the narrator",
        "parameters": "as of the narrator",
        "price": "as of the narrator",
        "accept": "a text with a lower score is refused like one with a wrong word; without it none is",
    },
    "dataset": {
        "split": "train, validation, test",
        "dedup": "`facts`: of records whose templates read the same values and that have one label, the earliest stays",
        "length": "how many characters a record may have",
        "near_duplicates": "off unless it stands there",
        "decontaminate": "off unless it stands there",
        "personal": (
            "what becomes of e-mail addresses, phone numbers, IBANs, card numbers and restricted names in free text: "
            "`mask` puts `[e-mail]` and the like in their place, `refuse` drops the records that would print one"
        ),
        "phone_regions": "countries such as `DE` whose phone numbers are also found without their country's code",
        "pseudonymise": "`<role>.<property>`: replaced by its pseudonym wherever it appears",
        "shard_rows": "how many records a file of the release has at most",
    },
    "dataset.decontaminate": {
        "against": (
            "patterns of files (`.jsonl`, `.parquet`, `.txt`, `.md`) from the narrative's folder, or where they meet "
            "none there from the mesh root"
        ),
        "ngram": "words in a row",
    },
    "dataset.split": {
        "validation": "the day with which it begins (midnight UTC); all before it is train",
        "test": "the day with which it begins",
        "embargo": "a case of an earlier split that is open, or closes later, at this long before the next one drops",
        "together": "`<role>.<property>`: cases that share a value are not torn apart",
        "random": "by chance; with it there is no `validation`, `test` or `embargo` beside it",
    },
    "dataset.split.random": {
        "validation": "the share of all, from 0 to below 1",
        "test": "the share of all; both together leave something to train on",
        "seed": "another one draws another split",
    },
    "records.<config>.tool": {
        "name": "as the model calls it",
        "description": "what the model is told of it",
        "arguments": "each an expression that a question may print, a text or a whole number; or the two fields below",
    },
    "records.<config>.tool.arguments.<name>": {
        "value": "an expression in the view of questions",
        "description": "what the model is told of it; by default the codes of its contract with their labels",
    },
    "evaluation": {
        "strata": "values that a question knows; each combination of them has cases of its own",
        "each": "how many cases of a stratum are drawn, by the MD5 of their ids",
        "wordings": "how often the question `best` is told, each time with other choices of `choose`",
        "tasks": "see below",
        "system": "a template: the system prompt",
        "context": "a template: what an open-book model may look up, such as precedents with their ids and counts",
    },
    "evaluation.tasks": {
        "best": "a template: which action is best",
        "rate": "a template: how often `option.action` works, one of those tried often enough",
        "verdict": "a template: whether `option.action`, what was done in the case, will work",
        "abstain": "also draws cases with too few precedents, as many again, where `best` is to be declined",
    },
}
