"""Calls any upstream that speaks OpenAI's chat completions and embeddings, always through the guarded egress.

This is the hot path of the gateway, so a reply is decoded once, into plain values: what we do not know passes
through in `raw`. Nothing an upstream sends is trusted to have the right shape.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from quintet.domain.errors import Invalid, Unavailable
from quintet.engines.openai_compatible.errors import quote, refusal
from quintet.engines.openai_compatible.sse import SseParser
from quintet.engines.services import EngineServices, read_config
from quintet.engines.text import content_text
from quintet.ports.egress import BadStatus, Egress, EgressReply
from quintet.ports.engine import Delta, GenerateRequest, Generation, ModelRef, Usage

_REASONS = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}

# What the caller's pass-through may not touch: it would change which model is called or how we read the reply.
_OURS = frozenset({"model", "messages", "stream"})


class UpstreamConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`base_url` up to and without `/chat/completions`; `model` where a deployment names none.

    `timeout` and `stream_timeout` in seconds for a whole reply. `max_tokens_field` is `max_completion_tokens`
    for upstreams that refuse the older name; `stream_usage` off for those that refuse `stream_options`.
    """

    base_url: str
    api_key: str = ""
    model: str = ""
    headers: dict[str, str] = {}
    timeout: float = 120.0
    stream_timeout: float = 600.0
    max_tokens_field: str = "max_tokens"
    stream_usage: bool = True

    def __repr__(self) -> str:
        return f"UpstreamConfig(base_url={self.base_url!r}, model={self.model!r})"


class OpenAICompatibleEngine:
    """Implements Generates, Streams and Embeds. Loading and unloading are the upstream's own business."""

    def __init__(self, config: UpstreamConfig, egress: Egress) -> None:
        base = config.base_url.rstrip("/")
        self._config = config
        self._egress = egress
        self._chat_url = f"{base}/chat/completions"
        self._embeddings_url = f"{base}/embeddings"
        self._headers = {"Content-Type": "application/json", **config.headers}
        if config.api_key:
            self._headers["Authorization"] = f"Bearer {config.api_key}"
        self._secrets = tuple(s for s in (config.api_key, *config.headers.values()) if len(s) >= 8)

    async def load(self, model: ModelRef) -> None:
        """Nothing to do: the upstream decides what it holds in memory."""

    async def unload(self, model: ModelRef) -> None:
        """Nothing to do, as in `load`."""

    async def close(self) -> None:
        """The connections belong to the egress client, which others use too."""

    async def generate(self, request: GenerateRequest) -> Generation:
        body = self._body(request)
        reply = await self._call(self._chat_url, body, str(body["model"]))
        choice = _first(reply.get("choices"))
        message = choice.get("message")
        if not isinstance(message, Mapping):
            raise _malformed()
        return Generation(
            text=content_text(message.get("content")),
            finish_reason=_reason(choice.get("finish_reason")),
            usage=_usage(reply.get("usage")) or Usage(),
            tool_calls=_calls(message.get("tool_calls")),
            raw=reply,
        )

    async def stream(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        body = self._body(request)
        body["stream"] = True
        if self._config.stream_usage:
            body.setdefault("stream_options", {"include_usage": True})
        reader = _StreamReader(self._secrets)
        pieces = self._egress.stream(
            "POST", self._chat_url, headers=self._headers, json=body, timeout=self._config.stream_timeout
        )
        try:
            async for piece in pieces:
                for delta in reader.feed(piece):
                    yield delta
                if reader.done:
                    break
        except BadStatus as exc:
            raise refusal(exc.reply, str(body["model"]), self._secrets) from None
        finally:
            # Without this, a reader that leaves early would keep the upstream generating until the garbage
            # collector finds the iterator.
            await _aclose(pieces)
        for delta in reader.end():
            yield delta

    async def embed(self, model: ModelRef, texts: Sequence[str]) -> list[list[float]]:
        if not texts:
            return []
        name = model.name or self._config.model
        body = {"model": name, "input": list(texts), "encoding_format": "float"}
        reply = await self._call(self._embeddings_url, body, name)
        rows = reply.get("data")
        if not isinstance(rows, list) or len(rows) != len(texts):
            raise _malformed()
        vectors: list[list[float]] = [[] for _ in texts]
        for place, row in enumerate(rows):
            vector = row.get("embedding") if isinstance(row, Mapping) else None
            index = row.get("index", place) if isinstance(row, Mapping) else -1
            if not isinstance(vector, list) or not isinstance(index, int) or not 0 <= index < len(texts):
                raise _malformed()
            vectors[index] = [float(v) for v in vector if isinstance(v, int | float)]
        return vectors

    def _body(self, request: GenerateRequest) -> dict[str, Any]:
        body: dict[str, Any] = {k: v for k, v in request.extra.items() if k not in _OURS}
        body["model"] = request.model.name or self._config.model
        body["messages"] = request.messages
        if request.max_tokens is not None:
            body[self._config.max_tokens_field] = request.max_tokens
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.top_p is not None:
            body["top_p"] = request.top_p
        if request.seed is not None:
            body["seed"] = request.seed
        if request.stop:
            body["stop"] = list(request.stop)
        return body

    async def _call(self, url: str, body: dict[str, Any], model: str) -> dict[str, Any]:
        reply: EgressReply = await self._egress.request(
            "POST", url, headers=self._headers, json=body, timeout=self._config.timeout
        )
        if reply.status >= 400:
            raise refusal(reply, model, self._secrets)
        try:
            decoded = msgspec.json.decode(reply.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _malformed() from None
        if not isinstance(decoded, dict):
            raise _malformed()
        return decoded


class _StreamReader:
    """Chunks of a chat stream as Deltas; the reason to end is held back until the usage has come, too."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._parser = SseParser()
        self._secrets = secrets
        self._final = Delta()
        self._reason: str | None = None
        self.done = False

    def feed(self, piece: bytes) -> Iterator[Delta]:
        for data in self._parser.feed(piece):
            if data == b"[DONE]":
                self.done = True
                return
            delta = self._chunk(data)
            if delta is not None:
                yield delta

    def end(self) -> Iterator[Delta]:
        """The last Delta. Unavailable where the stream broke off in the middle of a reply."""
        if not self.done:
            for data in self._parser.end():
                delta = self._chunk(data) if data != b"[DONE]" else None
                self.done = self.done or data == b"[DONE]"
                if delta is not None:
                    yield delta
        if not self.done and self._reason is None:
            raise Unavailable("the upstream ended its stream before the reply was complete")
        yield replace(self._final, finish_reason=self._reason or "stop")

    def _chunk(self, data: bytes) -> Delta | None:
        try:
            chunk = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _malformed() from None
        if not isinstance(chunk, Mapping):
            raise _malformed()
        if chunk.get("error"):
            # Some upstreams start with 200 and fail in the middle.
            error = chunk["error"]
            text = error.get("message") if isinstance(error, Mapping) else error
            quoted = quote(text, self._secrets) if isinstance(text, str) else ""
            raise Unavailable(f"the upstream failed while it answered: {quoted}")
        usage = _usage(chunk.get("usage"))
        if usage is not None:
            self._final = replace(self._final, usage=usage)
        choices = chunk.get("choices")
        if not choices:
            return None
        choice = _first(choices)
        if choice.get("finish_reason") is not None:
            self._reason = _reason(choice["finish_reason"])
        delta = choice.get("delta")
        if not isinstance(delta, Mapping):
            return None
        text, calls = content_text(delta.get("content")), _calls(delta.get("tool_calls"))
        return Delta(text=text, tool_calls=calls) if text or calls else None


def create(config: Mapping[str, Any], services: EngineServices) -> OpenAICompatibleEngine:
    """The engine. Invalid or Forbidden for a `base_url` that could never be called."""
    settings = read_config(UpstreamConfig, config)
    if settings.max_tokens_field not in ("max_tokens", "max_completion_tokens"):
        raise Invalid("engine settings: max_tokens_field is max_tokens or max_completion_tokens", field="config")
    if settings.timeout <= 0 or settings.stream_timeout <= 0:
        raise Invalid("engine settings: timeouts must be positive", field="config")
    services.egress.check_url(settings.base_url)
    return OpenAICompatibleEngine(settings, services.egress)


async def _aclose(pieces: AsyncIterator[bytes]) -> None:
    close = getattr(pieces, "aclose", None)
    if close is not None:
        await close()


def _first(choices: Any) -> Mapping[str, Any]:
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        return choices[0]
    raise _malformed()


def _reason(value: Any) -> str:
    """Upstreams name other reasons too (`eos`, `end_turn`); each of them means that the model was done."""
    return _REASONS.get(value, "stop") if isinstance(value, str) else "stop"


def _usage(value: Any) -> Usage | None:
    if not isinstance(value, Mapping):
        return None
    prompt, completion = value.get("prompt_tokens"), value.get("completion_tokens")
    return Usage(prompt if isinstance(prompt, int) else 0, completion if isinstance(completion, int) else 0)


def _calls(value: Any) -> Sequence[Mapping[str, Any]]:
    return [call for call in value if isinstance(call, Mapping)] if isinstance(value, list) else ()


def _malformed() -> Unavailable:
    return Unavailable("the upstream's answer does not have the shape of a chat completion")
