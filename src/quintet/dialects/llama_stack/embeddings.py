"""Embeddings: one vector for each text."""

from __future__ import annotations

import base64
import struct
from typing import Any

from msgspec import Struct

from quintet.app.serving.on_demand import embed
from quintet.dialects.kit.call import Call
from quintet.dialects.llama_stack.binder import DIALECT, binder
from quintet.dialects.llama_stack.chat_convert import model_said
from quintet.domain.errors import Invalid


class EmbeddingsRequest(Struct):
    model: str
    input: str | list[Any]
    encoding_format: str | None = None
    dimensions: int | None = None
    user: str | None = None


class Embedding(Struct):
    index: int
    embedding: list[float] | str
    object: str = "embedding"


class EmbeddingUsage(Struct):
    prompt_tokens: int
    total_tokens: int


class EmbeddingsReply(Struct):
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
    object: str = "list"


@binder.op("POST /v1/embeddings", body=EmbeddingsRequest)
async def embeddings(call: Call) -> EmbeddingsReply:
    body: EmbeddingsRequest = call.body
    packed = body.encoding_format == "base64"
    if body.encoding_format not in (None, "float", "base64"):
        raise Invalid("expected float or base64", field="encoding_format")
    texts = _texts(body.input)
    route, vectors = await embed(call.core, call.actor, body.model, texts, dialect=DIALECT)
    if body.dimensions is not None:
        vectors = [_shortened(vector, body.dimensions) for vector in vectors]
    data = [Embedding(i, _packed(vector) if packed else vector) for i, vector in enumerate(vectors)]
    tokens = sum(len(text.split()) for text in texts)
    return EmbeddingsReply(data, model_said(body.model, route), EmbeddingUsage(tokens, tokens))


def _texts(given: object) -> list[str]:
    texts = [given] if isinstance(given, str) else list(given) if isinstance(given, list) else []
    if any(not isinstance(text, str) for text in texts):
        # A token's number means something else to every tokenizer, and a model here may be any upstream.
        raise Invalid("expected text; numbers of tokens are not understood", field="input")
    return texts


def _shortened(vector: list[float], dimensions: int) -> list[float]:
    """The first dimensions, of length one again, as models with nested representations are shortened."""
    if not 1 <= dimensions <= len(vector):
        raise Invalid(f"this model's vectors have 1 to {len(vector)} dimensions", field="dimensions")
    head = vector[:dimensions]
    length = sum(value * value for value in head) ** 0.5
    return [value / length for value in head] if length else head


def _packed(vector: list[float]) -> str:
    """Little-endian 32-bit floats in base64, as OpenAI's client unpacks them."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
