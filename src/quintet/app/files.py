"""Files of clients: kept under paths that the clients choose, apart for each space.

Bytes stream between the edge and the blob store without a transaction; here is decided who may, and under
which key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from quintet.app.authz import require
from quintet.app.context import Ports
from quintet.domain.errors import Forbidden, Invalid, NotFound
from quintet.domain.identity import Actor, Permission
from quintet.domain.ids import Id
from quintet.ports.blobs import BlobInfo

PREFIX = "files"


def file_key(space_id: Id, path: str) -> str:
    """The blob key of a client's path; Invalid where the path is empty or tries to leave its folder."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise Invalid("a path names a file below the space's own folder", field="path")
    return "/".join((PREFIX, space_id, *parts))


def writable_key(actor: Actor, path: str) -> str:
    """The key to store a file under; Forbidden for an actor who may not write runs."""
    require(actor, Permission.RUN_WRITE)
    return file_key(actor.space_id, path)


def readable_file(actor: Actor, ports: Ports, path: str) -> BlobInfo:
    """The blob of a path; NotFound where there is none in the actor's space."""
    require(actor, Permission.RUN_READ)
    info = ports.blobs.info(file_key(actor.space_id, path))
    if info is None:
        raise NotFound(f"there is no file '{path}'", kind="file", id=path)
    return info


@dataclass(slots=True)
class DeletedFiles:
    """What a deletion of several paths did: {path given: path deleted}, and {reason: paths}."""

    deleted: dict[str, str] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)


def delete_file(actor: Actor, ports: Ports, path: str) -> None:
    """Deletes one file; NotFound where it is not there."""
    if not ports.blobs.delete(_deletable(actor, path)):
        raise NotFound(f"there is no file '{path}'", kind="file", id=path)


def delete_files(actor: Actor, ports: Ports, paths: Iterable[str]) -> DeletedFiles:
    """Deletes files, and folders with all that is in them."""
    done = DeletedFiles()
    for path in paths:
        try:
            key = _deletable(actor, path)
        except Invalid:
            done.errors.setdefault("Empty or invalid path", []).append(path)
            continue
        below = [info.key for info in ports.blobs.list(key)]
        # A store answers a folder's listing and a file's deletion; a path may be either.
        if ports.blobs.delete(key) + sum(ports.blobs.delete(each) for each in below):
            done.deleted[path] = key.split("/", 2)[2]
        else:
            done.errors.setdefault("Not found", []).append(path)
    return done


def _deletable(actor: Actor, path: str) -> str:
    require(actor, Permission.RUN_WRITE)
    if actor.run_id is not None:
        raise Forbidden("the token of a run deletes no files")
    return file_key(actor.space_id, path)


def blob_of_url(space_id: Id, url: str, own: Collection[str]) -> str | None:
    """The key of the file that a URL names, where it is one of this server's (`own`: URLs that it is reached by).

    A client's URL is only text, so the key never leaves the space of whoever names it.
    """
    for base in own:
        if not url.startswith(base):
            continue
        try:
            return file_key(space_id, unquote(urlsplit(url[len(base) :]).path))
        except Invalid:
            return None
    return None
