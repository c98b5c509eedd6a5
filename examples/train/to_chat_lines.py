"""Write configs of a release as JSON lines of conversations, as Axolotl and LLaMA-Factory read them.

    python to_chat_lines.py releases/canal-exceptions/1.0.0-r1 lines advice follow_up recall

writes `lines/advice.jsonl` and so on, of the train split or of `--split`. A line has `messages`; of a pair also
`chosen` and `rejected`, one message each; of a single answer also `label`; of a conversation with calls also `tools`. A
message has only the fields that mean something in it: in the files of a release each message of a conversation with
calls has all of them.
"""

import argparse
import json
from pathlib import Path
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", help="the folder of a release, or its name on the Hub")
    parser.add_argument("into", type=Path, help="the folder of the lines")
    parser.add_argument("configs", nargs="+")
    parser.add_argument("--split", default="train")
    wanted = parser.parse_args()
    wanted.into.mkdir(parents=True, exist_ok=True)
    for config in wanted.configs:
        rows = load_dataset(wanted.release, config, split=wanted.split)
        with (wanted.into / f"{config}.jsonl").open("w", encoding="utf-8") as lines:
            for row in rows:
                lines.write(json.dumps(conversation(row), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
