"""The fine-tuning of `training.py` as a plain TRL script: no server, no worker, nobody watching."""

from __future__ import annotations

import json
import sys
import time


def main() -> None:
    given = json.load(sys.stdin)
    started = time.perf_counter()
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(2)
    model = AutoModelForCausalLM.from_pretrained(given["model"], dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(given["model"])
    rows = [
        {"prompt": [{"role": "user", "content": p}], "completion": [{"role": "assistant", "content": a}]}
        for p, a in given["pairs"]
    ]
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=given["out"], max_steps=given["steps"], per_device_train_batch_size=given["batch_size"],
            learning_rate=given["lr"], lr_scheduler_type="cosine", warmup_steps=0, logging_steps=10, report_to="none",
            save_strategy="no", use_cpu=True, max_length=1024, packing=False, gradient_checkpointing=False, bf16=False,
            disable_tqdm=True, seed=42,
        ),
        train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
    )  # fmt: skip
    trainer.train()
    trainer.save_model(given["out"])
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
