"""Which keys a store takes: one rule for all stores, so that data can move from a folder to S3 and back."""

from __future__ import annotations

import re

from quintet.domain.errors import Invalid

# S3 and GCS both stop at 1,024 bytes of UTF-8.
MAX_KEY_BYTES = 1024
# File systems stop at 255 bytes a name; the folder store needs a little of that for its staging suffix.
MAX_PART_BYTES = 240

# The folder store stages an upload as `name#1` and hides such names, so nobody else may use them.
_STAGED = re.compile(r"#\d+$")


def check_key(key: str) -> str:
    """The key itself; Invalid (field `key`) where it could leave the store or not be stored everywhere."""
    if not key:
        raise Invalid("a blob key must not be empty", field="key")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise Invalid("a blob key must be valid Unicode", field="key") from None
    if size > MAX_KEY_BYTES:
        raise Invalid(f"a blob key is limited to {MAX_KEY_BYTES} bytes", field="key")
    if "\\" in key or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in key):
        raise Invalid("a blob key must not contain backslashes or control characters", field="key")
    if key.startswith("/"):
        raise Invalid("a blob key must be relative", field="key")
    for part in key.split("/"):
        _check_part(part)
    return key


def check_prefix(prefix: str) -> str:
    """A folder-like prefix without its trailing slash; the empty one means everything."""
    trimmed = prefix.removesuffix("/")
    return check_key(trimmed) if prefix else ""


def _check_part(part: str) -> None:
    if part in ("", ".", ".."):
        raise Invalid("a blob key must not contain empty, '.' or '..' parts", field="key")
    if len(part.encode()) > MAX_PART_BYTES:
        raise Invalid(f"a part of a blob key is limited to {MAX_PART_BYTES} bytes", field="key")
    if _STAGED.search(part):
        raise Invalid("a part of a blob key must not end in '#' and digits", field="key")
