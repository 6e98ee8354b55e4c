"""External providers: how each is reached by the one protocol they all speak, OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from quintet.dialects.adaptive.enums import OPENAI_MODELS
from quintet.domain.errors import Invalid

OPENAI = "https://api.openai.com/v1"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai"
ANTHROPIC = "https://api.anthropic.com/v1"

REASONING = ("o1", "o3", "o4", "gpt-5")
"""Models that refuse `max_tokens` and take `max_completion_tokens`."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A model elsewhere: `config` is what the engine needs to call it."""

    provider: str
    model: str
    config: dict[str, Any]


def upstream_of(provider: str, data: Mapping[str, Any] | None) -> Upstream:
    """The upstream that the input describes; Invalid where the data are of another provider, or missing."""
    given = {name: value for name, value in (data or {}).items() if value is not None}
    entry, make = _PROVIDERS[provider]
    if set(given) != {entry}:
        raise Invalid(f"the provider {provider} needs 'providerData.{entry}'", field="providerData")
    return make(given[entry])


def _openai(data: Mapping[str, Any]) -> Upstream:
    return _known_model("openai", OPENAI_MODELS[data["externalModelId"]], {"base_url": OPENAI, **_key(data)})


def _azure(data: Mapping[str, Any]) -> Upstream:
    base = data["endpoint"].rstrip("/")
    if not base.endswith("/v1"):
        base += "/openai/v1"  # where a resource of Azure serves the protocol without versions in the query
    return _known_model("azure", data["externalModelId"], {"base_url": base, **_key(data)})


def _google(data: Mapping[str, Any]) -> Upstream:
    return Upstream("google", data["externalModelId"], {"base_url": GOOGLE, **_key(data)})


def _anthropic(data: Mapping[str, Any]) -> Upstream:
    return Upstream("anthropic", data["externalModelId"], {"base_url": ANTHROPIC, **_key(data)})


def _nvidia(data: Mapping[str, Any]) -> Upstream:
    base = data["endpoint"].rstrip("/")
    return Upstream("nvidia", data["externalModelId"], {"base_url": base if base.endswith("/v1") else f"{base}/v1"})


def _known_model(provider: str, model: str, config: dict[str, Any]) -> Upstream:
    if model.startswith(REASONING):
        config["max_tokens_field"] = "max_completion_tokens"
    return Upstream(provider, model, config)


def _key(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"api_key": data["apiKey"]}


_PROVIDERS: dict[str, tuple[str, Callable[[Mapping[str, Any]], Upstream]]] = {
    "OPEN_AI": ("openAI", _openai),
    "AZURE": ("azure", _azure),
    "GOOGLE": ("google", _google),
    "ANTHROPIC": ("anthropic", _anthropic),
    "NVIDIA": ("nvidia", _nvidia),
}
