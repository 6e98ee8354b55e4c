"""The binder that the handlers of this dialect hang on."""

from __future__ import annotations

from quintet.dialects.kit.rest import RestBinder
from quintet.dialects.runner.auth import authenticate
from quintet.dialects.runner.contract import CONTRACT
from quintet.dialects.runner.errors import show_error

BODY_BYTES = 64 * 1024 * 1024
"""The largest JSON body: the generations of an evaluation come in one."""

binder = RestBinder("runner", CONTRACT, errors=show_error, authenticate=authenticate, body_limit=BODY_BYTES)
