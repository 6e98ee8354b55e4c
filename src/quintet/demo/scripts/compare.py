"""An A/B campaign over base and tuned, fed by real completions whose answers are checked, until it ends by itself."""

import uuid
from typing import Any

from adaptive_sdk import Adaptive
from protocol import arguments, progress, result


def main() -> None:
    given = arguments()
    client = Adaptive(given["url"], api_key=given["key"])
    client.set_default_use_case("dates")
    client.models.attach(model=given["tuned"], wait=True)
    made = client.ab_tests.create(
        ab_test_key="base-or-tuned", feedback_key="correct", models=[given["base"], given["tuned"]],
        traffic_split=1.0, feedback_type="metric", auto_deploy=True,
    )  # fmt: skip
    path: list[dict[str, Any]] = []
    state: Any = None
    for number, (prompt, answer) in enumerate(given["pairs"]):
        reply = client.chat.create(
            messages=[{"role": "user", "content": prompt}], temperature=0, max_tokens=16, session_id=str(uuid.uuid4())
        )
        choice = reply.choices[0]
        client.feedback.log_metric(
            value=choice.message.content.strip() == answer, completion_id=choice.completion_id, feedback_key="correct"
        )
        state = client.ab_tests.get("base-or-tuned")
        variants = {
            v.variant.key: [v.interval.start, v.interval.middle, v.interval.end] if v.interval else None
            for v in state.report.variants
        }
        path.append({"n": number + 1, "p": state.report.p_value, "variants": variants})
        progress(number + 1, len(given["pairs"]), f"p = {state.report.p_value}, {state.status.value}")
        if state.status.value == "DONE":
            break
    services = {s.model.key: s.is_default for s in client.use_cases.get("dates").model_services}
    default = next((k for k, d in services.items() if d), None)
    progress(len(given["pairs"]), len(given["pairs"]), f"the default is now {default}")
    result({
        "id": str(made.id), "status": state.status.value, "p_value": state.report.p_value, "default": default,
        "feedbacks": state.feedbacks, "path": path,
    })  # fmt: skip


if __name__ == "__main__":
    main()
