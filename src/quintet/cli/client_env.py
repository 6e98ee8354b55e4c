"""What to paste so that a client finds this server: printed at the first start, and by `quintet env CLIENT`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from quintet.server.composition import Parts
from quintet.server.settings import Settings, StartupError, load_settings

Keys = tuple[str, str, str]
"""(key, access key, secret key)."""

PLACEHOLDER: Keys = ("<key>", "<access_key>", "<secret_key>")

CLIENTS: dict[str, Callable[[str, Keys], dict[str, str]]] = {
    "clearml": lambda url, k: {
        "CLEARML_API_HOST": url,
        "CLEARML_WEB_HOST": url,
        "CLEARML_FILES_HOST": f"{url}/files",
        "CLEARML_API_ACCESS_KEY": k[1],
        "CLEARML_API_SECRET_KEY": k[2],
    },
    "adaptive": lambda url, k: {"ADAPTIVE_BASE_URL": url, "ADAPTIVE_API_KEY": k[0]},
    "llama-stack": lambda url, k: {"LLAMA_STACK_CLIENT_BASE_URL": url, "LLAMA_STACK_CLIENT_API_KEY": k[0]},
    "openai": lambda url, k: {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": k[0]},
    "domino": lambda url, k: {"DOMINO_API_HOST": url, "DOMINO_USER_API_KEY": k[0]},
    "mlflow": lambda url, k: {"MLFLOW_TRACKING_URI": f"{url}/mlflow", "MLFLOW_TRACKING_TOKEN": k[0]},
    "inference": lambda url, k: {"INFERENCE_BASE_URL": f"{url}/inference/v1", "INFERENCE_API_KEY": k[0]},
}


def add_commands(commands: Any) -> None:
    """Adds `env` to the parser."""
    env = commands.add_parser("env", help="the variables a client needs: quintet env clearml")
    env.add_argument("client", choices=[*CLIENTS, "all"])
    env.add_argument("--url", help="the server's URL, where it is not the one of the settings")
    env.add_argument("--data", help="the data folder")
    env.add_argument("--port", type=int)
    env.add_argument("--config", help="TOML file with settings")
    env.add_argument("--json", action="store_true", help="print JSON")
    env.set_defaults(run=_env)


def _env(given: argparse.Namespace) -> int:
    settings, _ = load_settings({"data": given.data, "port": given.port}, given.config)
    url = (given.url or settings.url).rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise StartupError(f"'{url}' is not a URL", 2)
    wanted = list(CLIENTS) if given.client == "all" else [given.client]
    if given.json:
        values = {name: CLIENTS[name](url, PLACEHOLDER) for name in wanted}
        print(json.dumps(values if given.client == "all" else values[given.client]))
        return 0
    for name in wanted:
        print(_block(name, url, PLACEHOLDER))
    print("# keys are shown once; make one with: quintet key create --label NAME")
    return 0


def _block(name: str, url: str, keys: Keys) -> str:
    lines = [f"# {name}"] + [f"export {k}={v}" for k, v in CLIENTS[name](url, keys).items()]
    return "\n".join(lines)


def announce(parts: Parts, settings: Settings) -> None:
    """Says where the server is; on the first start also the administrator's key and every client's variables."""
    out = sys.stdout
    print(f"Quintet is starting on {settings.url} (data: {settings.folder})", file=out)
    if settings.auth == "none":
        print("Sign-in is off: whoever reaches this port is the administrator.", file=out)
    issued = parts.first.key
    if issued is not None:
        print(f"\nThe administrator's key, shown this once:\n\n    {issued.key}\n", file=out)
        keys = (issued.key, issued.access_key, issued.secret_key)
        for name in CLIENTS:
            print(_block(name, settings.url, keys) + "\n", file=out)
    out.flush()
