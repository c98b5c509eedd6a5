"""Run by an interpreter that has LLaMA-Factory: it learns one step of each stage, by its own command's function.

`python llama_factory_reader.py FOLDER MODEL INTO` reads the lines in FOLDER as the `dataset_info.json` there says. Each
stage goes on with the model of the stage before; the last one's is in INTO/kto. What LLaMA-Factory shows of the first
example of each stage it prints.
"""

import importlib.machinery
import os
import sys
import types
from pathlib import Path

os.environ.update(
    HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", CUDA_VISIBLE_DEVICES="", TOKENIZERS_PARALLELISM="false"
)

STAGES = {"sft": "advice,follow_up,lookup,recall", "dpo": "choice", "kto": "verdict"}


def stand_in_for_torchaudio() -> None:
    """Nothing here has sound, and no wheel of torchaudio is made for a torch without CUDA."""
    module = types.ModuleType("torchaudio")
    module.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
    sys.modules["torchaudio"] = module


def main(folder: Path, model: Path, into: Path) -> None:
    stand_in_for_torchaudio()
    from llamafactory.train.tuner import run_exp

    for stage, configs in STAGES.items():
        run_exp({
            "stage": stage, "do_train": True, "finetuning_type": "full", "template": "qwen", "cutoff_len": 2048,
            "model_name_or_path": str(model), "dataset_dir": str(folder), "dataset": configs,
            "output_dir": str(into / stage), "max_steps": 1, "per_device_train_batch_size": 2, "max_samples": 4,
            "resize_vocab": True, "use_cpu": True, "report_to": "none", "save_strategy": "no",
        })  # fmt: skip
        model = into / stage


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
