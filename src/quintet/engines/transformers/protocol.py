"""What server and model process say to each other: MessagePack structs behind a length of four bytes.

Requests carry an `id` that all answers to them repeat, so many run at once over one pair of pipes.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec

HEADER = struct.Struct(">I")
# Long prompts and wide embeddings are a few megabytes. Anything larger is a desynchronised stream.
MAX_FRAME = 256 * 1024 * 1024


class Weights(msgspec.Struct, frozen=True):
    """Which weights: `key` names them, `path` is their folder; an adapter beside them has both of its own."""

    key: str
    path: str
    adapter_key: str = ""
    adapter_path: str = ""


class Load(msgspec.Struct, frozen=True, tag=True):
    id: int
    weights: Weights


class Unload(msgspec.Struct, frozen=True, tag=True):
    """The adapter where `weights` names one and `adapter_only` is set, else the whole model."""

    id: int
    weights: Weights
    adapter_only: bool = False


class Generate(msgspec.Struct, frozen=True, tag=True):
    """`messages` are OpenAI-shaped, `tools` are for the chat template. With `stream`, Pieces come before Finished."""

    id: int
    weights: Weights
    messages: list[dict[str, object]]
    max_tokens: int | None
    temperature: float
    top_p: float
    stop: list[str]
    seed: int
    stream: bool
    tools: list[object] | None = None


class Embed(msgspec.Struct, frozen=True, tag=True):
    id: int
    weights: Weights
    texts: list[str]


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """The asker of request `id` has left; no answer to it is expected any more."""

    id: int


class Done(msgspec.Struct, frozen=True, tag=True):
    id: int


class Piece(msgspec.Struct, frozen=True, tag=True):
    id: int
    text: str


class Finished(msgspec.Struct, frozen=True, tag=True):
    """The end of a reply; `text` is what Pieces have not carried yet, all of it where nothing was streamed."""

    id: int
    text: str
    reason: str
    prompt_tokens: int
    completion_tokens: int


class Vectors(msgspec.Struct, frozen=True, tag=True):
    id: int
    vectors: list[list[float]]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """An error of our family by its code; `internal` for anything else, whose text stays in the log."""

    id: int
    code: str
    message: str
    field: str | None = None


Request = Load | Unload | Generate | Embed | Cancel
Answer = Done | Piece | Finished | Vectors | Failed

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_answers: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


def frame(message: Request | Answer) -> bytes:
    """The message as bytes for the pipe."""
    body = _encoder.encode(message)
    return HEADER.pack(len(body)) + body


def decode_answer(body: bytes) -> Answer:
    """An answer out of the body of a frame."""
    return _answers.decode(body)


def read_request(pipe: BinaryIO) -> Request | None:
    """The next request from a blocking pipe; None at its end."""
    header = pipe.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    (size,) = HEADER.unpack(header)
    body = pipe.read(size)
    return _requests.decode(body) if len(body) == size else None
