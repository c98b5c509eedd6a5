"""Train one model for each of several releases, side by side, and show what each has learned of its own and of others.

    python side_by_side.py releases/grant-or-refuse/1.0.0-r1 releases/alert-or-not/1.0.0-r1 --into out \
        --model HuggingFaceTB/SmolLM2-135M-Instruct --config advice

Releases of one mesh are told from the same products, each for its own question and by its own rules of what may leave
where; so their models are trained apart. The last lines are the loss of each model on the test split of each release.
Needs what `train.py` needs.
"""

import argparse
from pathlib import Path

import torch
import trl
from datasets import Dataset
from train import records, train
from transformers import AutoModelForCausalLM, AutoTokenizer


def loss_of(model: Path, rows: Dataset) -> float:
    """Return the mean loss of a model on the answers of records, in nats a token."""
    arguments = trl.SFTConfig(
        output_dir=str(model / "evaluation"),
        per_device_eval_batch_size=2,
        max_length=1024,
        bf16=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
        report_to=[],
    )
    trainer = trl.SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(model),
        args=arguments,
        train_dataset=rows,
        eval_dataset=rows,
        processing_class=AutoTokenizer.from_pretrained(model),
    )
    return float(trainer.evaluate()["eval_loss"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("releases", nargs="+", help="folders of releases, or their names on the Hub")
    parser.add_argument("--model", required=True, help="where each model begins")
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument(
        "--config", required=True, help="of messages, or of prompts and completions; each release has it"
    )
    parser.add_argument("--steps", type=int, default=-1, help="of each model (default: as TRL does)")
    parser.add_argument("--learning-rate", type=float, help="(default: TRL's, which is for models trained before)")
    wanted = parser.parse_args()
    models = [wanted.into / f"{number}" for number in range(1, len(wanted.releases) + 1)]
    for release, model in zip(wanted.releases, models, strict=True):
        rows = records(release, wanted.config, "train")
        train("sft", wanted.model, rows, model, wanted.steps, rate=wanted.learning_rate)
    tests = [records(release, wanted.config, "test") for release in wanted.releases]
    for release, model in zip(wanted.releases, models, strict=True):
        losses = " ".join(f"{loss_of(model, rows):.3f}" for rows in tests)
        print(f"{model}, trained on {release}: {losses}", flush=True)


if __name__ == "__main__":
    main()
