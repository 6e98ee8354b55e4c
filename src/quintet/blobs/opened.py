"""From a path or a URL to a store: a folder by default, s3://, gs:// or az:// with credentials from outside.

Credentials and endpoints come from the environment under the providers' own names (`AWS_ACCESS_KEY_ID`,
`AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_KEY`, ...), never out of the URL,
which ends up in logs.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from quintet.blobs.store import ObstoreBlobs
from quintet.domain.errors import Invalid
from quintet.ports.blobs import Blobs

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

REMOTE_SCHEMES = frozenset({"s3", "s3a", "gs", "az", "azure", "abfs", "abfss"})

# Reads and writes move at most one part (8 MiB) a request, so this bounds a stuck request and not a big blob.
_CLIENT: ClientConfig = {"timeout": timedelta(seconds=120), "connect_timeout": timedelta(seconds=10)}
# A call that fails for 30 s is better answered than retried: the caller has its own retries.
_RETRY: RetryConfig = {"max_retries": 4, "retry_timeout": timedelta(seconds=30)}


def open_blobs(target: str | Path, *, durable: bool = True) -> Blobs:
    """The store behind a folder path, a `file://` URL or an object store URL such as `s3://bucket/prefix`.

    A missing folder is made. With `durable` a folder store forces each blob to disk before it acknowledges;
    tests may switch that off. Invalid (field `blobs`) for a URL of an unknown kind.
    """
    text = str(target)
    scheme = urlsplit(text).scheme.lower() if "://" in text else ""
    if scheme == "":
        return _open_folder(Path(text), durable)
    if scheme == "file":
        return _open_folder(Path(unquote(urlsplit(text).path)), durable)
    if scheme not in REMOTE_SCHEMES:
        known = ", ".join(sorted(REMOTE_SCHEMES))
        raise Invalid(f"blobs: '{scheme}' is not one of file, {known}", field="blobs")
    return _open_remote(text)


def _open_folder(path: Path, durable: bool) -> Blobs:
    root = path.expanduser().absolute()
    root.mkdir(parents=True, exist_ok=True)
    return ObstoreBlobs(LocalStore(root, automatic_cleanup=True), root=root, durable=durable)


def _open_remote(url: str) -> Blobs:
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise Invalid("blobs: credentials belong in the environment, not in the URL", field="blobs")
    # Plain HTTP only where the operator names such an endpoint (a MinIO next door).
    plain = os.environ.get("AWS_ENDPOINT_URL", os.environ.get("AWS_ENDPOINT", "")).startswith("http://")
    options: ClientConfig = {**_CLIENT, "allow_http": True} if plain else _CLIENT
    try:
        store = from_url(url, client_options=options, retry_config=_RETRY)
    except (BaseError, ValueError) as exc:
        raise Invalid(f"blobs: '{url}' cannot be opened", field="blobs") from exc
    return ObstoreBlobs(store, root=None, durable=True)
