"""A model in a folder of this machine, asked with transformers, which is imported only here."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from storymesh.errors import StorymeshError
from storymesh.input_file import file_digest

MAX_TOKENS = 256  # of an answer
BATCH = 8
_SHAPING = frozenset((".json", ".safetensors", ".jinja", ".model", ".txt"))


def digest_local_model(folder: Path) -> str:
    """Return the SHA-256 of all in a folder that shapes its model's answers: configuration, weights and tokenizer, by
    the names of their files. Raises StorymeshError where it is no folder, or cannot be read."""
    if not folder.is_dir():
        raise StorymeshError(f"{folder} is no folder with a model", "name one that holds config.json and its weights")
    whole = hashlib.sha256(f"{MAX_TOKENS}".encode())
    try:
        for path in sorted(path for path in folder.iterdir() if path.suffix in _SHAPING and path.is_file()):
            whole.update(f"{path.name}:{file_digest(path)}\n".encode())
    except OSError as error:
        message = f"the model in {folder} cannot be read: {error.strerror}: {error.filename}"
        raise StorymeshError(message, "name a folder that you may read") from None
    return whole.hexdigest()


def ask_local_model(folder: Path, questions: Sequence[Sequence[tuple[str, str]]]) -> Iterator[str]:
    """Yield the greedy answer to each question (messages of role and content), in their order, a batch at a time. The
    folder's own code is not run, only weights in safetensors are read, and nothing is fetched. Raises StorymeshError
    where it cannot be asked."""
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        words = f"a model in a folder is asked with transformers: {error}"
        raise StorymeshError(words, "pip install 'storymesh[local]', or score a file with --answers") from None
    try:
        logging.disable_progress_bar()
        own: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        sides = {"padding_side": "left", "truncation_side": "left"}
        tokenizer = AutoTokenizer.from_pretrained(str(folder), **sides, **own)
        model = AutoModelForCausalLM.from_pretrained(str(folder), use_safetensors=True, **own).eval()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        words = f"the model in {folder} cannot be opened: {' '.join(str(error).split())[:200]}"
        raise StorymeshError(words, "name a folder that `save_pretrained` wrote, with its tokenizer") from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    texts = [_prompt(tokenizer, messages) for messages in questions]
    room = int(getattr(model.config, "max_position_embeddings", None) or 1_000_000) - MAX_TOKENS
    if room < MAX_TOKENS:
        words = f"the model in {folder} has room for {room + MAX_TOKENS:,} tokens, too few for question and answer"
        raise StorymeshError(words, f"take one with {2 * MAX_TOKENS} at least")
    with torch.no_grad():
        for first in range(0, len(texts), BATCH):
            some = texts[first : first + BATCH]
            form = {"return_tensors": "pt", "padding": True, "truncation": True, "max_length": room}
            batch = tokenizer(some, add_special_tokens=False, **form)
            made = model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=MAX_TOKENS,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )
            yield from tokenizer.batch_decode(made[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)


def _prompt(tokenizer: Any, messages: Sequence[tuple[str, str]]) -> str:
    """Return the prompt in the model's own template, or plain where it has none."""
    if tokenizer.chat_template:
        turns = [{"role": role, "content": content} for role, content in messages]
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    return "\n\n".join(content for _, content in messages) + "\n\n"
