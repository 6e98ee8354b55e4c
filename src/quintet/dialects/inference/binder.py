"""The binder that the handlers of this dialect hang on."""

from __future__ import annotations

from quintet.dialects.inference.auth import authenticate
from quintet.dialects.inference.contract import rest
from quintet.dialects.inference.errors import show_error
from quintet.dialects.kit.rest import RestBinder

binder = RestBinder("inference", rest(), errors=show_error, authenticate=authenticate)
