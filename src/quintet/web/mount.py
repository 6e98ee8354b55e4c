"""The page at `/`: whoever opens the server in a browser learns what it is and where each client connects."""

from __future__ import annotations

import html

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from quintet import __version__
from quintet.app.core import Core
from quintet.dialects.kit.mount import Mount
from quintet.dialects.kit.rest import Route

ROWS = (
    ("ClearML", "", "clearml"),
    ("Adaptive Engine", "", "adaptive"),
    ("Domino", "", "domino"),
    ("MLflow", "/mlflow", "mlflow"),
    ("Llama Stack", "", "llama-stack"),
    ("OpenAI", "/v1", "openai"),
    ("Inference API", "/inference/v1", "inference"),
)
"""(client, where below the server's URL, its name for `quintet env`)."""

STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;"
    "padding:0 1rem}td,th{text-align:left;padding:.2rem 1.2rem .2rem 0}code{font-size:.95em}"
)


async def landing(request: Request, core: Core, request_id: str, params: dict[str, str]) -> Response:
    """No key is needed, and nothing of the server's content is shown."""
    base = html.escape(str(core.ports.settings.get("url", "")))
    rows = "".join(
        f"<tr><td>{name}<td><code>{base}{path}</code><td><code>quintet env {client}</code>" for name, path, client in ROWS
    )
    return HTMLResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Quintet</title>"
        f"<meta name=viewport content='width=device-width'><style>{STYLE}</style>"
        f"<h1>Quintet {__version__}</h1><p>One server for the whole life of a model. Its clients find it here:</p>"
        f"<table><tr><th>client<th>address<th>variables to paste</tr>{rows}</table>"
        f"<p><a href='/health'>health</a> · <a href='/metrics'>metrics</a></p>"
    )


def mount(core: Core) -> Mount:
    """The pages over `core`."""
    return Mount("web", [Route("GET", "/", landing)])
