"""Logs expert answers with scores, and preferences of expert answers over the base model's own."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from adaptive_sdk import Adaptive
from protocol import arguments, progress, result

THREADS = 8


def main() -> None:
    given = arguments()
    client = Adaptive(given["url"], api_key=given["key"])
    client.set_default_use_case("dates")
    client.feedback.register_key(key="correct", kind="bool", name="Correct")
    client.feedback.register_key(key="preferred", kind="bool", name="Preferred")
    for key in ("correct", "preferred"):
        client.feedback.link(key)
    pairs: list[list[str]] = given["pairs"]
    asked: list[list[str]] = pairs[: given["asked"]]
    total = len(pairs) + len(asked)
    done = 0

    def expert(pair: list[str]) -> str:
        made = client.interactions.create(
            messages=[{"role": "user", "content": pair[0]}], completion=pair[1], labels={"by": "expert"},
            feedbacks=[{"feedback_key": "correct", "value": True}],
        )  # fmt: skip
        return str(made.completion_id)

    def base(pair: list[str]) -> Any:
        reply = client.chat.create(
            messages=[{"role": "user", "content": pair[0]}], temperature=0, max_tokens=16, labels={"by": "base"}
        )
        choice = reply.choices[0]
        right = choice.message.content.strip() == pair[1]
        client.feedback.log_metric(value=right, completion_id=choice.completion_id, feedback_key="correct")
        return str(choice.completion_id), right

    right = preferences = 0
    with ThreadPoolExecutor(THREADS) as threads:
        experts = []
        for ident in threads.map(expert, pairs):
            experts.append(ident)
            done += 1
            if done % 100 == 0:
                progress(done, total, "expert answers")
        for ident, (other, correct) in zip(experts, threads.map(base, asked), strict=False):
            if not correct:
                client.feedback.log_preference(
                    feedback_key="preferred", preferred_completion=ident, other_completion=other
                )
                preferences += 1
            right += correct
            done += 1
            if done % 20 == 0:
                progress(done, total, "the base model, scored and compared")
    progress(total, total, "done")
    listed = client.interactions.list(page={"first": 5}, use_case="dates")
    result({"interactions": listed.total_count, "base_right": right, "preferences": preferences})


if __name__ == "__main__":
    main()
