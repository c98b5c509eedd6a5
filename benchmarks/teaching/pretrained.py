"""What a model that was trained before learns of the open book: `pretrained.py FOLDER MODEL [RECORDS [QUESTIONS]]`.

Runs where torch is, without storymesh, on the `lessons.json` in FOLDER, as learner.py does. MODEL is a folder with a
chat template; so many records of `advice` are learned, of each the answer, and so many questions are answered.
"""

import json
import random
import re
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

ROLES = {"s": "system", "u": "user"}
BATCH, RATE, MAX_ANSWER_LENGTH = 4, 3e-4, 140


class Student:
    """A model and its tokenizer, which puts prompts into the form of its chat template."""

    def __init__(self, model: str) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).to(self.device)
        self.end = self.tokenizer.eos_token_id

    def prompt(self, text: str) -> list[int]:
        """Return the tokens of a prompt between the marks of the lessons."""
        turns = re.findall(r"<([su])>(.*?)(?=<[sua]>|\Z)", text, re.DOTALL)
        messages = [{"role": ROLES[mark], "content": content} for mark, content in turns]
        tokens = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)
        return list(tokens["input_ids"])

    def learn(self, records: list[list[str]]) -> float:
        """One pass; of each record the answer counts. Returns the last mean loss."""
        # What words mean it has learned before.
        learned = [value for name, value in self.model.named_parameters() if "embed" not in name]
        optimizer = torch.optim.AdamW(learned, lr=RATE, betas=(0.9, 0.95), weight_decay=0.01)
        steps, mean = range(0, len(records), BATCH), 0.0
        for first in steps:
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1.0, (first / BATCH + 1) / 5) * (1 - 0.95 * first / len(records))
            batch = [
                (self.prompt(prompt), [*self.tokenizer(completion).input_ids, self.end])
                for prompt, completion in records[first : first + BATCH]
            ]
            mean = 0.0
            for asked, answer in batch:
                ids = torch.tensor([asked + answer], device=self.device)
                with torch.autocast(self.device, dtype=torch.bfloat16):
                    hidden = self.model.model(input_ids=ids[:, :-1]).last_hidden_state[0, len(asked) - 1 :]
                    logits = self.model.lm_head(hidden)
                loss = functional.cross_entropy(logits.float(), ids[0, len(asked) :], reduction="sum")
                loss = loss / sum(len(answer) for _, answer in batch)
                loss.backward()
                mean += loss.item()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimizer.step()
            self.model.zero_grad()
            print(f"{first + len(batch)} records, loss {mean:.3f}", flush=True)
        return mean

    @torch.no_grad()
    def answer(self, prompts: list[str]) -> list[str]:
        """Return the greedy answer to each prompt."""
        encoded = [self.prompt(prompt) for prompt in prompts]
        width = max(map(len, encoded))
        ids = torch.tensor([[self.end] * (width - len(tokens)) + tokens for tokens in encoded], device=self.device)
        mask = torch.tensor([[0] * (width - len(tokens)) + [1] * len(tokens) for tokens in encoded], device=self.device)
        with torch.autocast(self.device, dtype=torch.bfloat16):
            made = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=MAX_ANSWER_LENGTH,
                do_sample=False,
                eos_token_id=self.end,
                pad_token_id=self.end,
            )
        said = [
            tokens[: tokens.index(self.end)] if self.end in tokens else tokens for tokens in made[:, width:].tolist()
        ]
        return [self.tokenizer.decode(tokens) for tokens in said]


def study(folder: Path, model: str, records: int = 96, questions: int = 48) -> None:
    lessons: dict[str, Any] = json.loads((folder / "lessons.json").read_text(encoding="utf-8"))
    begins = time.process_time()
    student = Student(model)
    learned = random.Random(0).sample(lessons["texts"]["advice"], min(records, len(lessons["texts"]["advice"])))
    loss = student.learn(learned)
    trained = time.process_time()
    student.model.eval()
    asked = random.Random(1).sample(lessons["questions"], min(questions, len(lessons["questions"])))
    answers: dict[str, str] = {}
    for first in range(0, len(asked), 8):
        part = asked[first : first + 8]
        texts = student.answer([item["prompts"]["advice"] for item in part])
        answers |= dict(zip((item["case"] for item in part), texts, strict=True))
    figures = {
        "arm": "pretrained",
        "seed": 0,
        "texts": {"advice": len(learned)},
        "tokens": sum(len(student.prompt(prompt)) + len(student.tokenizer(text).input_ids) for prompt, text in learned),
        "parameters": sum(parameter.numel() for parameter in student.model.parameters()),
        "loss": round(loss, 4),
        "device": torch.cuda.get_device_name() if student.device == "cuda" else "cpu",
        "cpu seconds": {"training": trained - begins, "answers": time.process_time() - trained},
    }
    (folder / "answers").mkdir(exist_ok=True)
    text = json.dumps({**figures, "open": answers}, ensure_ascii=False)
    (folder / "answers" / "pretrained-0.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(2)
    study(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:5]))
