"""The built-in recipes one after the other, for real but tiny: pretrain, fine-tune, prefer, evaluate."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from quintet.demo.dates import held_out_pairs, training_pairs
from quintet.recipes import catalog
from quintet.recipes.run import execute
from quintet.recipes.testing import FakeRunClient

pytest.importorskip("torch")
# Slow because four real trainings with four real libraries need their seconds; nothing else proves that they fit.
pytestmark = [pytest.mark.slow, pytest.mark.models]

TINY = {"hidden_size": 32, "intermediate_size": 64, "layers": 1, "heads": 2, "block_length": 64, "batch_size": 2}


def run(client: FakeRunClient, name: str, folder: Path, **args: object) -> None:
    client.args = args
    client.points, client.checkpoints, client.results = [], [], {}
    execute(catalog.load(name), client, folder / name)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FakeRunClient:
    """A server with a base model and the date datasets."""
    folder = tmp_path_factory.mktemp("server")
    pairs = training_pairs(40, 0)
    made = FakeRunClient(
        folder,
        datasets={
            "pairs": [{"prompt": p.prompt, "completion": p.answer} for p in pairs],
            "preferences": [
                {"messages": [{"role": "user", "content": p.prompt}], "preferred_completion": p.answer,
                 "other_completion": "no"} for p in pairs[:12]
            ],
            "questions": [
                {"input_query": p.prompt, "expected_answer": p.answer,
                 "chat_completion_input": json.dumps([{"role": "user", "content": p.prompt}])}
                for p in held_out_pairs(10, 0)
            ],
        },
    )  # fmt: skip
    work = tmp_path_factory.mktemp("base")
    run(made, "pretrain", work, **TINY, corpus_characters=60_000, max_steps=12, output_model="base")
    return made


def test_pretraining_makes_a_model_that_transformers_loads_and_that_learns(
    client: FakeRunClient, tmp_path: Path
) -> None:
    run(
        client, "pretrain", tmp_path, **TINY, corpus_characters=60_000, max_steps=30, output_model="other",
        checkpoint_every=15, validate_every=10,
    )  # fmt: skip
    losses = [value for _, value in client.series("loss", "train")]
    assert losses[-1] < losses[0] < math.log(261) + 1
    assert [step for step, _ in client.series("loss", "validation")] == [10, 20, 30]
    assert [checkpoint["step"] for checkpoint in client.checkpoints] == [15, 30]
    assert client.checkpoints[-1]["metrics"]["perplexity"] > 1
    assert client.share == 1.0
    assert [stage["state"] for stage in client.stages] == ["done"] * 3

    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = client.models["other"]["folder"]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    chat = [{"role": "user", "content": "Hé!"}, {"role": "assistant", "content": "ok"}]
    assert tokenizer.apply_chat_template(chat, tokenize=False) == "<|user|>Hé!<|assistant|>ok<|end|>"
    assert tokenizer.decode(tokenizer("Hé\n def").input_ids) == "Hé\n def"
    assert model.config.eos_token_id == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<|end|>")


def test_pretraining_reads_bytes_as_its_tokenizer_does() -> None:
    from quintet.trainers import pretrain
    from quintet.trainers.tokenizer import build

    tokenizer = build("bytes")
    text = "".join(map(chr, range(256))) + "日本 😀 x" * 40
    fast = pretrain._encode(tokenizer, [text, ""], pretrain.PretrainSettings(block_length=8)).tolist()
    assert fast == [*tokenizer(text).input_ids, tokenizer.eos_token_id, tokenizer.eos_token_id]


def test_a_cut_off_pretraining_goes_on_from_its_checkpoint(client: FakeRunClient, tmp_path: Path) -> None:
    common = {**TINY, "corpus_characters": 30_000, "output_model": "cut"}
    run(client, "pretrain", tmp_path / "first", **common, max_steps=6)
    kept = client.checkpoints[-1]
    files = [p.name for p in (client.folder / kept["path"]).iterdir()]
    client.resume_from = {**kept, "files": files}
    try:
        run(client, "pretrain", tmp_path / "second", **common, max_steps=10)
    finally:
        client.resume_from = None
    assert client.results["steps"] == 10
    assert [step for step, _ in client.series("loss", "validation")] == [10]


def test_fine_tuning_reports_curves_and_checkpoints_and_keeps_a_model(client: FakeRunClient, tmp_path: Path) -> None:
    run(
        client, "sft", tmp_path, model="base", dataset="pairs", output_model="tuned", max_steps=8, batch_size=8,
        learning_rate=5e-3, validation_share=0.2, checkpoint_every=4, log_every=2, max_length=64,
    )  # fmt: skip
    losses = [value for _, value in client.series("loss", "train")]
    assert len(losses) >= 4
    assert losses[-1] < losses[0]
    assert [c["step"] for c in client.checkpoints] == [4, 8]
    assert set(client.checkpoints[-1]["metrics"]) == {"train_loss", "validation_loss", "perplexity"}
    assert client.models["tuned"]["format"] == "transformers"
    assert client.results["model"] == {"id": "id-tuned", "key": "tuned", "version": 1}
    # The trainer's own folders are gone once the server has them.
    assert not list((tmp_path / "sft" / "checkpoints").glob("checkpoint-*"))


def test_a_cut_off_fine_tuning_goes_on_from_its_checkpoint(client: FakeRunClient, tmp_path: Path) -> None:
    common = {"model": "base", "dataset": "pairs", "batch_size": 8, "max_length": 64, "output_model": "resumed"}
    run(client, "sft", tmp_path / "first", **common, max_steps=8, checkpoint_every=3, log_every=1)
    kept = client.checkpoints[0]
    assert kept["step"] == 3
    files = [p.name for p in (client.folder / kept["path"]).iterdir()]
    client.resume_from = {**kept, "files": files}
    try:
        run(client, "sft", tmp_path / "second", **common, max_steps=8, log_every=1)
    finally:
        client.resume_from = None
    assert [step for step, _ in client.series("loss", "train")] == [4, 5, 6, 7, 8]


def test_an_adapter_is_registered_on_its_backbone_and_loads_again(client: FakeRunClient, tmp_path: Path) -> None:
    run(
        client, "sft", tmp_path, model="base", dataset="pairs", output_model="adapter", max_steps=2, batch_size=8,
        max_length=64, lora={"rank": 2},
    )  # fmt: skip
    made = client.models["adapter"]
    assert (made["format"], made["backbone"]["key"]) == ("adapter", "base")
    assert json.loads((made["folder"] / "adapter_config.json").read_text())["base_model_name_or_path"] == "base"
    run(
        client, "dpo", tmp_path, model="adapter", dataset="preferences", output_model="preferred-adapter",
        max_steps=2, batch_size=4, max_length=64, lora={"rank": 2},
    )  # fmt: skip
    again = client.models["preferred-adapter"]
    assert (again["format"], again["backbone"]["key"]) == ("adapter", "base")
    run(client, "evaluate", tmp_path, model="preferred-adapter", dataset="questions", max_tokens=4, num_examples=3)
    assert client.results["rows"] == 3


def test_preference_tuning_prefers_the_preferred(client: FakeRunClient, tmp_path: Path) -> None:
    run(
        client, "dpo", tmp_path, model="base", dataset="preferences", output_model="preferred", max_steps=6,
        batch_size=6, learning_rate=1e-3, log_every=1, max_length=64,
    )  # fmt: skip
    margins = [value for _, value in client.series("rewards", "margins")]
    assert margins[-1] > margins[0]
    assert client.models["preferred"]["format"] == "transformers"


def test_evaluation_scores_every_row_and_posts_the_shapes_of_the_wire(client: FakeRunClient, tmp_path: Path) -> None:
    client.replies = lambda body: "Fair. Score: 4"
    run(
        client, "evaluate", tmp_path, model="base", dataset="questions", evaluation="e1", max_tokens=12, batch_size=4,
        scoring_functions=["basic::equality", "basic::subset_of", "llm-as-judge::base"],
        scoring_params={"llm-as-judge::base": {"judge_model": "j", "aggregation_functions": ["average"]}},
    )  # fmt: skip
    (sent,) = client.scored
    assert sent["evaluation"] == "e1"
    assert sent["rows"] == len(sent["generations"]) == 10
    assert {len(s["score_rows"]) for s in sent["scores"].values()} == {10}
    assert sent["scores"]["llm-as-judge::base"]["score_rows"][0] == {"score": "4", "judge_feedback": "Fair. Score: 4"}
    assert sent["metrics"]["average"] == 4.0
    assert set(sent["metrics"]) == {"accuracy", "basic::subset_of/accuracy", "average"}


def test_batched_answers_are_those_of_one_prompt_at_a_time(client: FakeRunClient) -> None:
    from quintet.trainers import answering
    from quintet.trainers.loading import Source

    source = Source(client.models["base"]["folder"])
    prompts = [[{"role": "user", "content": p.prompt}] for p in held_out_pairs(6, 3)]
    sampling = answering.Sampling(max_tokens=8)
    alone = {a.number: a.text for batch in answering.answer(source, prompts, sampling, 1) for a in batch}
    together = {a.number: a.text for batch in answering.answer(source, prompts, sampling, 6) for a in batch}
    assert alone == together
