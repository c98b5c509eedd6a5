"""Train a model on a release with TRL, one stage after the other: each goes on with the model of the stage before.

    python train.py releases/canal-exceptions/1.0.0-r1 --model HuggingFaceTB/SmolLM2-135M-Instruct --into out \
        --stage sft=advice --stage sft=lookup --stage sft=recall --stage dpo=choice --stage kto=verdict

The columns of a release are those that the trainers take, as messages, so the chat template of the model is put around
them, and of a question and its answer only the answer is learned. Needs `trl`, `datasets` and `torch`.
"""

import argparse
from pathlib import Path

import torch
import trl
from datasets import Dataset, Features, Json, List, load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.utils import remove_none_values

KEPT = {"prompt", "completion", "messages", "tools", "chosen", "rejected", "label", "text"}  # what trainers learn from


def records(release: str, config: str, split: str) -> Dataset:
    """Return the columns to learn from: facts, sources and scores are for people and for evaluation."""
    rows = load_dataset(release, config, split=split)
    rows = rows.remove_columns([name for name in rows.column_names if name not in KEPT])
    if "tools" not in rows.column_names:
        return rows
    # In a file every message has every field. Chat templates take a field that is there for one that is meant.
    features = Features({**rows.features, "messages": List(Json())})
    return rows.map(remove_none_values, features=features)


def train(
    kind: str,
    model: str,
    rows: Dataset,
    into: Path,
    steps: int,
    *,
    assistant_only: bool = False,
    rate: float | None = None,
) -> None:
    """Train one stage, `kind` is sft, dpo or kto, and write model and tokenizer to `into`."""
    name = kind.upper()
    accelerated = torch.cuda.is_available()
    arguments = getattr(trl, f"{name}Config")(
        output_dir=str(into),
        max_steps=steps,
        per_device_train_batch_size=2,
        max_length=1024,
        bf16=accelerated,
        use_cpu=not accelerated,
        report_to=[],
        save_strategy="no",
        **({"learning_rate": rate} if rate is not None else {}),
        **({"assistant_only_loss": True} if assistant_only and "messages" in rows.column_names else {}),
    )
    tokenizer = AutoTokenizer.from_pretrained(model)
    trainer = getattr(trl, f"{name}Trainer")(
        model=AutoModelForCausalLM.from_pretrained(model),
        args=arguments,
        train_dataset=rows,
        processing_class=tokenizer,
    )
    trainer.train()
    trainer.save_model(str(into))
    tokenizer.save_pretrained(str(into))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", help="the folder of a release, or its name on the Hub")
    parser.add_argument("--model", required=True, help="where the first stage begins")
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--stage", action="append", required=True, metavar="KIND=CONFIG", help="sft, dpo or kto")
    parser.add_argument(
        "--steps", type=int, default=-1, help="of each stage (default: all records once or as TRL does)"
    )
    parser.add_argument(
        "--assistant-only",
        action="store_true",
        help="of conversations learn what the assistant says; TRL has to know the chat template of the model",
    )
    wanted = parser.parse_args()
    model = wanted.model
    for number, stage in enumerate(wanted.stage, 1):
        kind, _, config = stage.partition("=")
        into = wanted.into / f"{number}-{kind}-{config}"
        train(
            kind,
            model,
            records(wanted.release, config, "train"),
            into,
            wanted.steps,
            assistant_only=wanted.assistant_only,
        )
        model = str(into)
        print(f"{stage}: {into}", flush=True)


if __name__ == "__main__":
    main()
