"""Run with the clients' own environment: unmodified llama-stack-client and openai against a live server.

The server's address, key and the names of what is there come as JSON on stdin; every step asserts what a user of
the client would rely on. Prints `done` at the end.
"""

import json
import sys

import openai
from llama_stack_client import BadRequestError, ConflictError, InternalServerError, LlamaStackClient, NotFoundError

given = json.load(sys.stdin)
stack = LlamaStackClient(base_url=given["url"], api_key=given["key"])
oai = openai.OpenAI(base_url=f"{given['url']}/v1", api_key=given["key"])
HELLO = [{"role": "user", "content": "hello there you"}]
ROWS = [
    {"input_query": "a", "expected_answer": "A", "chat_completion_input": '[{"role": "user", "content": "a"}]'},
    {"input_query": "b", "expected_answer": "x", "chat_completion_input": '[{"role": "user", "content": "b"}]'},
]


def raises(kind, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def inspection():
    assert stack.inspect.health().status == "OK"
    assert stack.inspect.version().version
    assert stack.providers.list()[0].provider_id
    assert any(r.route == "/v1/models" for r in stack.routes.list())


def models():
    listed = {m.identifier: m for m in stack.models.list()}
    assert listed["echo"].api_model_type == "llm"
    assert "base" in listed, "a registered model is listed before it is deployed"
    assert stack.models.retrieve("team/helper").identifier == "helper"
    assert {m.id for m in oai.models.list()} == set(listed)
    raises(NotFoundError, stack.models.retrieve, "nothing")
    raises(openai.NotFoundError, oai.models.retrieve, "nothing")


def chat():
    for client in (stack, oai):
        whole = client.chat.completions.create(model="echo", messages=HELLO, temperature=0, max_tokens=16)
        assert whole.choices[0].message.content == "echo: hello there you"
        assert whole.usage.total_tokens == 7
        chunks = list(client.chat.completions.create(
            model="echo", messages=HELLO, stream=True, stream_options={"include_usage": True}
        ))  # fmt: skip
        said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert said == "echo: hello there you"
        assert chunks[-1].usage.total_tokens == 7
        text = client.completions.create(model="upper", prompt="a b")
        assert text.choices[0].text == "A B"
        assert (
            "".join(c.choices[0].text for c in client.completions.create(model="upper", prompt="a b", stream=True))
            == "A B"
        )
        vectors = client.embeddings.create(model="vectors", input=["a", "b"])
        assert len(vectors.data[1].embedding) == 16
        stored = client.chat.completions.retrieve(whole.id)
        assert stored.choices[0].message.content == "echo: hello there you"
    assert next(iter(stack.chat.completions.list(limit=1))).id.startswith("chatcmpl-")
    tools = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]
    asked = oai.chat.completions.create(
        model="echo", messages=[{"role": "user", "content": 'call add {"a": 1}'}], tools=tools
    )
    assert asked.choices[0].message.tool_calls[0].function.name == "add"


def errors():
    raises(NotFoundError, stack.chat.completions.create, model="nothing", messages=HELLO)
    wrong = raises(openai.BadRequestError, oai.chat.completions.create, model="echo", messages=HELLO, temperature=9)
    assert wrong.param == "temperature"
    raises(openai.AuthenticationError, openai.OpenAI(base_url=f"{given['url']}/v1", api_key="no").models.list)
    raises(
        InternalServerError, stack.with_options(max_retries=0).chat.completions.create, model="broken", messages=HELLO
    )
    raises(openai.InternalServerError, oai.responses.create, model="echo", input="hello")
    raises(InternalServerError, stack.alpha.agents.list)


def datasets():
    made = stack.datasets.register(
        purpose="eval/messages-answer", source={"type": "rows", "rows": ROWS}, dataset_id="held/out", metadata={"k": 1}
    )
    assert made.identifier == "held/out"
    assert stack.datasets.retrieve("held/out").source.rows == ROWS
    assert "held/out" in {d.identifier for d in stack.datasets.list()}
    page = stack.datasets.iterrows("held/out", limit=1)
    assert page.data == ROWS[:1]
    assert page.has_more
    stack.datasets.appendrows("held/out", rows=[{"input_query": "c", "expected_answer": "C"}])
    assert len(stack.datasets.iterrows("held/out").data) == 3
    uri = "data:application/jsonl;base64,eyJhIjogMX0KeyJhIjogMn0K"
    stack.datasets.register(purpose="post-training/messages", source={"type": "uri", "uri": uri}, dataset_id="by-uri")
    assert stack.datasets.iterrows("by-uri", start_index=1).data == [{"a": 2}]
    stack.datasets.unregister("by-uri")
    raises(NotFoundError, stack.datasets.retrieve, "by-uri")
    raises(
        BadRequestError, stack.datasets.register, purpose="eval/messages-answer", source={"type": "uri", "uri": "data:"}
    )
    shared = stack.datasets.iterrows("date-answers", limit=3)
    assert shared.data == given["rows"]


def evaluation():
    stack.benchmarks.register(benchmark_id="bench", dataset_id="held/out", scoring_functions=["basic::equality"])
    assert stack.benchmarks.retrieve("bench").dataset_id == "held/out"
    assert stack.benchmarks.list()[0].scoring_functions == ["basic::equality"]
    for number, (model, accuracy) in enumerate({"upper": 2 / 3, "base": 0.75}.items()):
        candidate = {
            "type": "model",
            "model": model,
            "sampling_params": {"strategy": {"type": "greedy"}, "max_tokens": 16},
        }
        config = {"eval_candidate": candidate, "scoring_params": {}}
        job = stack.alpha.eval.run_eval("bench", benchmark_config=config)
        assert (job.job_id, job.status) == (str(number), "completed"), job
        assert stack.alpha.eval.jobs.status(job.job_id, benchmark_id="bench").status == "completed"
        found = stack.alpha.eval.jobs.retrieve(job.job_id, benchmark_id="bench")
        scores = found.scores["basic::equality"]
        assert scores.aggregated_results["accuracy"]["accuracy"] == accuracy
        assert len(scores.score_rows) == len(found.generations)
    raises(ConflictError, stack.alpha.eval.jobs.cancel, "0", benchmark_id="bench")
    now = stack.alpha.eval.evaluate_rows(
        "bench", benchmark_config=config | {"eval_candidate": candidate | {"model": "upper"}}, input_rows=ROWS,
        scoring_functions=["basic::subset_of"],
    )  # fmt: skip
    assert now.scores["basic::subset_of"].score_rows == [{"score": 1.0}, {"score": 0.0}]
    rows = [{"input_query": "q", "generated_answer": "a", "expected_answer": "a"}]
    scored = stack.scoring.score(input_rows=rows, scoring_functions={"basic::equality": None})
    assert scored.results["basic::equality"].score_rows == [{"score": 1.0}]
    assert stack.scoring_functions.retrieve("basic::equality").identifier == "basic::equality"
    assert len(stack.scoring_functions.list()) >= 5
    ranked = stack.alpha.inference.rerank(model="echo", query="red cat", items=["a dog", "the red cat"])
    assert [r.index for r in ranked] == [1, 0]


def post_training():
    training = {
        "n_epochs": 2, "max_steps_per_epoch": 1000, "gradient_accumulation_steps": 1,
        "data_config": {"dataset_id": "date-answers", "batch_size": 2, "shuffle": True, "data_format": "instruct"},
        "optimizer_config": {"optimizer_type": "adamw", "lr": 1e-3, "weight_decay": 0.01, "num_warmup_steps": 1},
    }  # fmt: skip
    jobs = stack.alpha.post_training
    lora = {"type": "LoRA", "rank": 4, "alpha": 8, "lora_attn_modules": [], "apply_lora_to_mlp": False,
            "apply_lora_to_output": False}  # fmt: skip
    made = jobs.supervised_fine_tune(
        job_uuid="dates-sft", model="base", training_config=training, hyperparam_search_config={}, logger_config={},
        algorithm_config=lora, checkpoint_dir=None,
    )  # fmt: skip
    assert made.job_uuid == "dates-sft"
    wait(jobs, "dates-sft")
    (checkpoint,) = jobs.job.status(job_uuid="dates-sft").checkpoints
    assert checkpoint.identifier == "step-2"
    assert checkpoint.training_metrics.train_loss == 0.5
    assert jobs.job.artifacts(job_uuid="dates-sft").checkpoints[0].post_training_job_id == "dates-sft"
    assert "dates-sft" in {m.identifier for m in stack.models.list()}
    jobs.preference_optimize(
        job_uuid="dates-dpo", finetuned_model="dates-sft", algorithm_config={"beta": 0.1}, training_config=training,
        hyperparam_search_config={}, logger_config={},
    )  # fmt: skip
    wait(jobs, "dates-dpo")
    assert [j.job_uuid for j in jobs.job.list()] == ["dates-sft", "dates-dpo"]
    raises(NotFoundError, jobs.job.status, job_uuid="nothing")
    raises(
        ConflictError, jobs.preference_optimize, job_uuid="dates-dpo", finetuned_model="dates-sft",
        algorithm_config={"beta": 0.1}, training_config=training, hyperparam_search_config={}, logger_config={},
    )  # fmt: skip
    raises(ConflictError, jobs.job.cancel, job_uuid="dates-dpo")


def wait(jobs, job):
    import time

    for _ in range(200):
        if jobs.job.status(job_uuid=job).status == "completed":
            return
        time.sleep(0.02)
    raise AssertionError(f"{job} did not complete")


for step in (inspection, models, chat, errors, datasets, evaluation, post_training):
    step()
print("done")
