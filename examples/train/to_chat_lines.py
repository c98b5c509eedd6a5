"""Write a config of a release as JSON lines of conversations, as Axolotl and LLaMA-Factory read them.

    python to_chat_lines.py releases/canal-exceptions/1.0.0-r1 advice > advice.jsonl

A line has `messages`; of a pair also `chosen` and `rejected`, one message each; of a single answer also `label`; of a
conversation with calls also `tools`. A message has only the fields that mean something in it: in the files of a release
each message of a conversation with calls has all of them.
"""

import json
import sys
from typing import Any

from datasets import load_dataset


def conversation(row: dict[str, Any]) -> dict[str, Any]:
    """Return the line of one record."""
    if "messages" in row:
        messages = [{name: value for name, value in one.items() if value is not None} for one in row["messages"]]
        return {"messages": messages} | ({"tools": json.loads(row["tools"])} if "tools" in row else {})
    if "chosen" in row:
        return {"messages": row["prompt"], "chosen": row["chosen"][-1], "rejected": row["rejected"][-1]}
    return {"messages": row["prompt"] + row["completion"]} | ({"label": row["label"]} if "label" in row else {})


if __name__ == "__main__":
    release, config, *rest = sys.argv[1:]
    for row in load_dataset(release, config, split=rest[0] if rest else "train"):
        print(json.dumps(conversation(row), ensure_ascii=False))
