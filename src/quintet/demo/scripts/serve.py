"""Makes a use case, attaches the base model, and chats with it through adaptive-sdk and the openai client."""

from adaptive_sdk import Adaptive
from openai import OpenAI
from protocol import arguments, result


def main() -> None:
    given = arguments()
    client = Adaptive(given["url"], api_key=given["key"])
    if client.use_cases.get("dates") is None:
        client.use_cases.create(key="dates", name="Dates", description="dates in any form, normalised to ISO")
    client.set_default_use_case("dates")
    service = client.models.attach(model=given["model"], wait=True, make_default=True)
    ask = [{"role": "user", "content": given["prompt"]}]
    whole = client.chat.create(messages=ask, temperature=0, max_tokens=16)
    pieces = []
    for chunk in client.chat.create(messages=ask, temperature=0, max_tokens=16, stream=True):
        if chunk.choices:
            pieces.append(chunk.choices[0].delta.content)
    other = OpenAI(base_url=f"{given['url']}/v1", api_key=given["key"])
    reply = other.chat.completions.create(
        model=f"dates/{given['model']}", messages=[{"role": "user", "content": given["prompt"]}], temperature=0,
        max_tokens=16,
    )  # fmt: skip
    said = {
        "adaptive": whole.choices[0].message.content,
        "adaptive stream": "".join(pieces),
        "openai": reply.choices[0].message.content,
    }
    assert len(set(said.values())) == 1, f"the same greedy request got different answers: {said}"
    result({"service": service.key, "said": said, "completion_id": str(whole.choices[0].completion_id)})


if __name__ == "__main__":
    main()
