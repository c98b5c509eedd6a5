"""Run by an interpreter that has TRL: the trainers of a format prepare the records of a config, and learn one step.

`python trl_reader.py RELEASE CONFIG=FORMAT... --then PROGRAM ARGUMENT...` prints a JSON object for each config, a line
each: rows, columns that the trainer made, steps, loss; or error, what it raised. Then it writes a random model to the
folder `model` and runs the program, which finds imported what takes longest.
Model and tokenizer are made on the spot, at random; nothing is downloaded.
"""

import json
import os
import runpy
import sys
import tempfile
import traceback
from typing import Any

os.environ.update(
    HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", CUDA_VISIBLE_DEVICES="", TOKENIZERS_PARALLELISM="false"
)

TRAINERS = {
    "text": "SFT",
    "messages": "SFT",
    "tool_calls": "SFT",
    "prompt_completion": "SFT",
    "preference": "DPO",
    "unpaired_preference": "KTO",
}
TEMPLATES = ("qwen2_5", "qwen3", "llama3_1", "gptoss", "glm4moe", "lfm2_v2", "nemotron_3_nano")
CHAT = "{% for one in messages %}<{{ one['role'] }}> {{ one['content'] }} <eos>{% endfor %}"


def texts_of(row: dict[str, Any]) -> list[str]:
    texts = [item["content"] for item in row.get("messages", [])]
    for name in ("text", "prompt", "completion", "chosen", "rejected"):
        value = row.get(name) or ""
        texts += [value] if isinstance(value, str) else [item["content"] for item in value]
    return texts


def learnt_texts(row: dict[str, Any], tokenizer: Any) -> list[str]:
    """What of a prepared row the model is taught, and what it is shown before."""
    if "labels" in row:
        taught = [token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label != -100]
        return [tokenizer.decode(taught), tokenizer.decode(row["input_ids"])]
    if mask := row.get("assistant_masks") or row.get("completion_mask"):
        taught = [token for token, learned in zip(row["input_ids"], mask, strict=True) if learned]
        return [tokenizer.decode(taught), tokenizer.decode(row["input_ids"])]
    return [tokenizer.decode(row[name]) for name in ("completion_ids", "chosen_ids", "prompt_ids") if name in row]


def real_templates(row: dict[str, Any]) -> dict[str, str]:
    """A conversation with a call in the chat templates of models that know tools, which TRL's wheel has as files."""
    from transformers.utils.chat_template_utils import render_jinja_template

    shown = {"tools": json.loads(row["tools"]), "bos_token": "<s>", "eos_token": "</s>"}
    texts = {}
    for name in TEMPLATES:
        (texts[name],), _ = render_jinja_template([row["messages"]], chat_template=chat_template(name), **shown)
    return texts


def chat_template(name: str) -> str:
    from pathlib import Path

    import trl

    return (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


def small_model(release: str, folder: str) -> None:
    """Write a random model and its tokenizer, which knows the words of some records."""
    from datasets import load_dataset

    rows = [
        row for config in ("reply", "lookup", "duel", "mark") for row in load_dataset(release, config, split="train")
    ]
    write_model([text for row in rows for text in texts_of(row)], folder)


def write_model(told: list[str], folder: str) -> None:
    """Write a random model of a few parameters, and a tokenizer for `told`, to a folder."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())  # of bytes, as most models have it: every character is part of a token
    words.pre_tokenizer, words.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    known = ["<unk>", "<pad>", "<eos>", "<system>", "<user>", "<assistant>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    words.train_from_iterator(
        told,
        trainers.BpeTrainer(special_tokens=known, vocab_size=2_000, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", pad_token="<pad>", eos_token="<eos>", chat_template=CHAT
    )
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=4_096, **shape)).save_pretrained(
        folder
    )
    tokenizer.save_pretrained(folder)


def learn(release: str, config: str, format_: str) -> dict[str, Any]:
    import torch
    import trl
    from datasets import Features, Json, List, load_dataset
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
    from trl.trainer.utils import remove_none_values

    torch.manual_seed(0)
    torch.set_num_threads(1)
    records = load_dataset(release, config, split="train", cache_dir=tempfile.mkdtemp())
    records = records.select(range(min(8, len(records))))
    if "messages" in records.column_names:
        # Parquet has every field in every message, and templates ask which fields there are.
        features = Features({**records.features, "messages": List(Json())})
        records = records.map(remove_none_values, features=features)
    # DPO and KTO take the model that they compare with from the folder that the model came from.
    folder = tempfile.mkdtemp()
    write_model([text for row in records for text in texts_of(row)], folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder)
    kind = TRAINERS[format_]
    if talks := "messages" in records.column_names:
        tokenizer.chat_template = chat_template("qwen3")  # of which TRL knows what the assistant says
    options = getattr(trl, f"{kind}Config")(
        output_dir=tempfile.mkdtemp(), max_steps=1, per_device_train_batch_size=2, report_to=[], use_cpu=True,
        bf16=False, save_strategy="no", disable_tqdm=True, max_length=2_048, gradient_checkpointing=False,
        **({"assistant_only_loss": True} if talks else {}),
    )  # fmt: skip
    trainer = getattr(trl, f"{kind}Trainer")(
        model=model, args=options, train_dataset=records, processing_class=tokenizer
    )
    prepared = trainer.train_dataset
    done = trainer.train()
    return {
        "config": config,
        "trl": trl.__version__,
        "trainer": f"{kind}Trainer",
        "rows": len(prepared),
        "columns": sorted(prepared.column_names),
        "learnt": learnt_texts(prepared[0], tokenizer),
        "steps": done.global_step,
        "loss": done.training_loss,
        "templates": real_templates(records[0]) if format_ == "tool_calls" else {},
    }


if __name__ == "__main__":
    last = sys.argv.index("--then")
    for argument in sys.argv[2:last]:
        name, _, kind_of = argument.partition("=")
        try:
            said = learn(sys.argv[1], name, kind_of)
        except Exception:
            said = {"config": name, "error": traceback.format_exc()}
        print(json.dumps(said), flush=True)
    small_model(sys.argv[1], "model")
    sys.argv = sys.argv[last + 1 :]
    runpy.run_path(sys.argv[0], run_name="__main__")
