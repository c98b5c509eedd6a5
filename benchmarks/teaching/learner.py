"""One tiny decoder from scratch, of one arm and one seed: it learns, then answers. Runs where torch is, without
storymesh: `python learner.py FOLDER ARM SEED [ARM SEED …]` reads `lessons.json` in FOLDER and writes its `answers/` and
its `models/`, which `storymesh evaluate --model hf:FOLDER/models/ARM-SEED` reads.

The same number of tokens for every arm, one vocabulary for all. On an accelerator, if there is one, else on one core.
"""

import json
import math
import os
import random
import re
import sys
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

END, MARKS = "<eos>", ("<s>", "<u>", "<a>")
# Words of a phrase may become one token, numbers are up to three digits, a line end stands alone.
PIECES = r"\n|\d{1,3}|[^\d\n]+"
OUTCOME = re.compile(r" (?:counts here as|is held to be) a step that ")
WAYS = ("worked.", "did not work.")
CHAT = (
    "{{ eos_token }}{% for turn in messages %}{{ {'system': '<s>', 'user': '<u>', 'assistant': '<a>'}[turn['role']] }}"
    "{{ turn['content'] }}{% if turn['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<a>{% endif %}"
)
"""The form of the lessons as a chat template."""


def train_tokenizer(lessons: dict[str, Any]) -> Tokenizer:
    """Train the vocabulary on as many characters of each kind of text."""
    random_ = random.Random(0)
    texts: list[str] = []
    for kind in sorted(lessons["texts"]):
        room = lessons["vocabulary"] * 250
        for prompt, completion in random_.sample(lessons["texts"][kind], len(lessons["texts"][kind])):
            if room < 0:
                break
            texts.append(prompt + completion)
            room -= len(texts[-1])
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PIECES), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    numbers = [" ".join(map(str, range(1000)))] * 200
    special = {"special_tokens": [END, *MARKS], "initial_alphabet": pre_tokenizers.ByteLevel.alphabet()}
    trainer = trainers.BpeTrainer(vocab_size=lessons["vocabulary"], show_progress=False, **special)
    tokenizer.train_from_iterator([*texts, *numbers], trainer)
    return tokenizer


class Learner:
    """A model, its tokenizer and where it runs."""

    def __init__(self, lessons: dict[str, Any], tokenizer: Tokenizer, seed: int) -> None:
        torch.manual_seed(seed)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer = tokenizer
        self.end = tokenizer.token_to_id(END)
        size = lessons["size"]
        self.room = size["context"]
        config = LlamaConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=size["width"],
            intermediate_size=size["width"] * 3,
            num_hidden_layers=size["layers"],
            num_attention_heads=max(1, size["width"] // 64),
            max_position_embeddings=2 * self.room,
            tie_word_embeddings=True,
            bos_token_id=self.end,
            eos_token_id=self.end,
            pad_token_id=self.end,
        )
        self.model = LlamaForCausalLM(config).to(self.device)

    def encode(self, text: str) -> list[int]:
        return [self.end, *self.tokenizer.encode(text).ids]

    def learn(
        self, documents: Sequence[tuple[list[int], list[float]]], batch_tokens: int, rates: dict[str, float]
    ) -> float:
        """One pass over documents, each its tokens and the weight of each in the loss. Returns the last mean loss."""
        batches = batches_of(documents, batch_tokens)
        matrices = [p for n, p in self.model.named_parameters() if p.dim() == 2 and "embed" not in n]
        others = [p for n, p in self.model.named_parameters() if p.dim() != 2 or "embed" in n]
        optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(others, lr=rates["adam"], betas=(0.9, 0.95), weight_decay=0.01, fused=True),
            torch.optim.Muon(matrices, lr=rates["muon"], momentum=0.95, weight_decay=0.01),
        ]
        base = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
        mean = math.nan
        for step, batch in enumerate(batches):
            factor = min(1.0, (step + 1) / 40) * (0.05 + 0.95 * min(1.0, 1.8 * (1 - step / len(batches))))
            groups = [group for optimizer in optimizers for group in optimizer.param_groups]
            for group, rate in zip(groups, base, strict=True):
                group["lr"] = rate * factor
            loss = self._loss(batch)
            self.model.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
            mean = loss.item() if math.isnan(mean) else 0.95 * mean + 0.05 * loss.item()
        return mean

    def _loss(self, batch: Sequence[tuple[list[int], list[float]]]) -> torch.Tensor:
        width = max(len(tokens) for tokens, _ in batch)
        ids = torch.full((len(batch), width), self.end)
        weights = torch.zeros((len(batch), width))
        for row, (tokens, weight) in enumerate(batch):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            weights[row, : len(tokens)] = torch.tensor(weight)
        ids, weights = ids.to(self.device), weights.to(self.device)
        counted = weights[:, 1:] > 0
        with torch.autocast(self.device, dtype=torch.bfloat16):
            hidden = self.model.model(input_ids=ids[:, :-1]).last_hidden_state[counted]
            logits = self.model.lm_head(hidden)
        losses = functional.cross_entropy(logits.float(), ids[:, 1:][counted], reduction="none")
        held = weights[:, 1:][counted]
        return (losses * held).sum() / held.sum()

    @torch.no_grad()
    def answers(self, prompts: Sequence[str], most: int, batch: int = 32) -> list[str]:
        """Return the greedy continuation of each prompt."""
        encoded = [self.encode(prompt)[-self.room :] for prompt in prompts]
        found = [""] * len(prompts)
        order = sorted(range(len(prompts)), key=lambda place: len(encoded[place]))
        for first in range(0, len(order), batch):
            places = order[first : first + batch]
            width = max(len(encoded[place]) for place in places)
            ids = torch.tensor([[self.end] * (width - len(encoded[p])) + encoded[p] for p in places])
            mask = torch.tensor([[0] * (width - len(encoded[p])) + [1] * len(encoded[p]) for p in places])
            with torch.autocast(self.device, dtype=torch.bfloat16):
                made = self.model.generate(
                    input_ids=ids.to(self.device),
                    attention_mask=mask.to(self.device),
                    max_new_tokens=most,
                    do_sample=False,
                )
            for place, tokens in zip(places, made[:, width:].tolist(), strict=True):
                held = tokens[: tokens.index(self.end)] if self.end in tokens else tokens
                found[place] = self.tokenizer.decode(held)
        return found

    @torch.no_grad()
    def likelihoods(self, texts: Sequence[str], batch: int = 32) -> list[float]:
        """Return the logarithm of the probability of each whole text."""
        encoded = [self.encode(text)[-self.room :] for text in texts]
        found = [0.0] * len(texts)
        order = sorted(range(len(texts)), key=lambda place: len(encoded[place]))
        for first in range(0, len(order), batch):
            places = order[first : first + batch]
            width = max(len(encoded[place]) for place in places)
            ids = torch.tensor([encoded[p] + [self.end] * (width - len(encoded[p])) for p in places]).to(self.device)
            with torch.autocast(self.device, dtype=torch.bfloat16):
                logits = self.model(input_ids=ids[:, :-1]).logits
            losses = functional.cross_entropy(logits.float().transpose(1, 2), ids[:, 1:], reduction="none")
            for row, place in enumerate(places):
                found[place] = -losses[row, : len(encoded[place]) - 1].sum().item()
        return found

    def save(self, folder: Path) -> None:
        """Write the model as a folder that transformers reads, with a chat template."""
        self.model.save_pretrained(folder)
        own = PreTrainedTokenizerFast(
            tokenizer_object=self.tokenizer, eos_token=END, pad_token=END, clean_up_tokenization_spaces=False
        )
        own.chat_template = CHAT
        own.save_pretrained(folder)


def batches_of(documents: Sequence[Any], most: int) -> list[list[Any]]:
    """Return batches of documents of about one length, in the order in which windows of them come."""
    found: list[list[Any]] = []
    for first in range(0, len(documents), 128):
        batch: list[Any] = []
        window: list[list[Any]] = []
        for document in sorted(documents[first : first + 128], key=lambda item: len(item[0])):
            if batch and len(document[0]) * (len(batch) + 1) > most:
                window.append(batch)
                batch = []
            batch.append(document)
        window.append(batch)
        random.Random(first).shuffle(window)
        found += window
    return found


def documents_of(
    lessons: dict[str, Any], shares: dict[str, int], learner: Learner, seed: int
) -> tuple[list[Any], dict[str, int]]:
    """Return whole texts of the kinds until each has spent its share of the tokens; and how many there are of each."""
    random_ = random.Random(seed)
    documents: list[Any] = []
    counts = {}
    for kind, share in shares.items():
        room, texts = lessons["tokens"] * share / sum(shares.values()), lessons["texts"][kind]
        counts[kind] = 0
        while room > 0:
            for prompt, completion in random_.sample(texts, len(texts)):
                start, rest = learner.encode(prompt), [*learner.encode(completion)[1:], learner.end]
                tokens = [*start, *rest][: learner.room + 1]
                # Of a conversation the answer is learned, as trainers do it.
                weights = [0.0 if prompt else 1.0] * len(start) + [1.0] * len(rest)
                documents.append((tokens, weights[: len(tokens)]))
                counts[kind] += 1
                room -= len(tokens)
                if room <= 0:
                    break
    random_.shuffle(documents)
    return documents, counts


def answer_questions(lessons: dict[str, Any], kinds: Collection[str], learner: Learner) -> dict[str, Any]:
    """Return what the model says to the questions, by case: `chosen` is an action, the others are its own words."""
    # Where too few earlier cases are known nothing is best; only with an open book a model can see that.
    known = [item for item in lessons["questions"] if item["stems"]["joined"]]
    choosers: dict[str, Callable[..., list[float]]] = {"joined": by_outcome, "report": by_verdict, "rows": by_hours}
    if len(kinds) == 1 and (kind := next(iter(kinds))) in choosers:
        return {"chosen": _chosen(learner, known, kind, choosers[kind])}

    def said(asked: Sequence[dict[str, Any]], prompt: str, most: int) -> dict[str, str]:
        texts = learner.answers([item["prompts"][prompt] for item in asked], most)
        return dict(zip((item["case"] for item in asked), texts, strict=True))

    found = {}
    if "lean json" in kinds:
        found["json"] = said(known, "lean json", 120)
    if "recall" in kinds:
        without = [item for item in lessons["questions"] if item["withheld"]]
        found["closed"] = said(known, "recall", 120)
        found["withheld"] = said([item for item in without if not item["unseen"]], "recall", 60)
        found["unseen"] = said([item for item in without if item["unseen"]], "recall", 60)
    if "advice" in kinds:
        found["open"] = said(lessons["questions"], "advice", 200)
    return found


def _chosen(
    learner: Learner, asked: Sequence[dict[str, Any]], kind: str, scores: Callable[..., list[float]]
) -> dict[str, str]:
    """Return for each case the action whose text has the highest score; among equals, one by chance."""
    pairs = [(item["case"], action, stem) for item in asked for action, stem in item["stems"][kind].items()]
    best: dict[str, tuple[float, float, str]] = {}
    for (case, action, _), score in zip(pairs, scores(learner, [stem for _, _, stem in pairs]), strict=True):
        # Of equal scores none is better because of its name.
        found = (score, random.Random(f"{case} {action}").random(), action)
        best[case] = max(best.get(case, found), found)
    return {case: action for case, (_, _, action) in best.items()}


def by_outcome(learner: Learner, stems: Sequence[str]) -> list[float]:
    """How much likelier it is that the row ends with success."""
    ways = [learner.likelihoods([f'{stem}, "worked": {way}}}' for stem in stems]) for way in ("true", "false")]
    return [good - bad for good, bad in zip(*ways, strict=True)]


def by_verdict(learner: Learner, stems: Sequence[str]) -> list[float]:
    """How much likelier the verdict is that the step worked, after what the model tells of the arrival."""
    told = [stem + text for stem, text in zip(stems, learner.answers(stems, 60), strict=True)]
    heads = [
        text[: found.end()] if (found := OUTCOME.search(text)) else f"{text} It is held to be a step that "
        for text in told
    ]
    ways = [learner.likelihoods([head + way for head in heads]) for way in WAYS]
    return [good - bad for good, bad in zip(*ways, strict=True)]


def by_hours(learner: Learner, stems: Sequence[str]) -> list[float]:
    """How many hours the model says are won back: those expected less the final ones that it writes."""
    found = []
    for stem, text in zip(stems, learner.answers(stems, 48), strict=True):
        final = re.search(r'"final_delay_hours": "(-?\d+)', text)
        expected = re.search(r'"expected_delay_hours": "(\d+)', stem)
        found.append(float(expected.group(1)) - float(final.group(1)) if final and expected else -math.inf)
    return found


def study(folder: Path, arm: str, seed: int) -> None:
    """Have a model of an arm learn and answer, and write what it says."""
    lessons = json.loads((folder / "lessons.json").read_text(encoding="utf-8"))
    path = folder / "tokenizer.json"
    if not path.is_file():
        # Others may be at it too: whichever is last, they are the same.
        draft = path.with_suffix(f".{os.getpid()}")
        train_tokenizer(lessons).save(str(draft))
        draft.replace(path)
    kinds = lessons["arms"][arm]
    begins = time.process_time()
    learner = Learner(lessons, Tokenizer.from_file(str(path)), seed)
    documents, counts = documents_of(lessons, kinds, learner, seed)
    prepared = time.process_time()
    loss = learner.learn(documents, lessons["batch tokens"], lessons["rates"])
    trained = time.process_time()
    learner.model.eval()
    name = f"{arm.replace(' ', '-')}-{seed}"
    learner.save(folder / "models" / name)
    answers = answer_questions(lessons, kinds, learner)
    figures = {
        "arm": arm,
        "seed": seed,
        "texts": counts,
        "tokens": sum(len(tokens) for tokens, _ in documents),
        "parameters": sum(parameter.numel() for parameter in learner.model.parameters()),
        "loss": round(loss, 4),
        "device": torch.cuda.get_device_name() if learner.device == "cuda" else "cpu",
        "cpu seconds": {
            "texts": round(prepared - begins, 1),
            "training": round(trained - prepared, 1),
            "answers": round(time.process_time() - trained, 1),
        },
    }
    out = folder / "answers"
    out.mkdir(exist_ok=True)
    text = json.dumps({**figures, **answers}, ensure_ascii=False)
    (out / f"{name}.json").write_text(text, encoding="utf-8")
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for job in range(2, len(sys.argv), 2):
        study(Path(sys.argv[1]), sys.argv[job], int(sys.argv[job + 1]))
