"""Keys of clients' files: they never leave the space that names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from quintet.app.files import blob_of_url, delete_files, file_key, readable_file, writable_key
from quintet.blobs.opened import open_blobs
from quintet.domain.errors import Forbidden, Invalid, NotFound
from quintet.domain.identity import BUILTIN_ROLES, Actor
from quintet.domain.ids import Id, new_id
from tests.support.factories import make_ports

SPACE = Id("0" * 23 + "5")  # fixed: it stands in the names of parametrised tests, which must not change
"""Fixed: it is part of the names of tests, which must be the same in every worker."""
ACTOR = Actor(new_id(), SPACE, BUILTIN_ROLES["member"])


@pytest.mark.parametrize("path", ["a/b.bin", "/a/b.bin", "a//b.bin", "./a/b.bin"])
def test_spellings_of_a_path_are_one_key(path: str) -> None:
    assert file_key(SPACE, path) == f"files/{SPACE}/a/b.bin"


@pytest.mark.parametrize("path", ["", "/", ".", "..", "../x", "a/../../x", "a/.."])
def test_a_path_that_names_no_file_below_is_refused(path: str) -> None:
    with pytest.raises(Invalid):
        file_key(SPACE, path)


def test_the_same_path_is_another_file_in_another_space(tmp_path: Path) -> None:
    ports = make_ports(open_blobs(tmp_path, durable=False))
    ports.blobs.put(writable_key(ACTOR, "x"), b"mine")
    assert readable_file(ACTOR, ports, "x").size == 4
    stranger = Actor(new_id(), new_id(), BUILTIN_ROLES["admin"])
    with pytest.raises(NotFound):
        readable_file(stranger, ports, "x")
    assert delete_files(stranger, ports, ["x", f"../{SPACE}/x"]).deleted == {}
    assert readable_file(ACTOR, ports, "x").size == 4


def test_readers_write_nothing_and_runs_delete_nothing(tmp_path: Path) -> None:
    ports = make_ports(open_blobs(tmp_path, durable=False))
    reader = Actor(new_id(), SPACE, BUILTIN_ROLES["read-only"])
    with pytest.raises(Forbidden):
        writable_key(reader, "x")
    of_run = Actor(new_id(), SPACE, BUILTIN_ROLES["member"], run_id=new_id())
    with pytest.raises(Forbidden):
        delete_files(of_run, ports, ["x"])


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://here/files/a%20b/c.bin", f"files/{SPACE}/a b/c.bin"),
        ("http://here/files/a?download=1", f"files/{SPACE}/a"),
        ("http://elsewhere/files/a", None),
        ("s3://bucket/a", None),
        ("http://here/files/../../secret", None),
        ("http://here/files/%2e%2e/secret", None),
        ("", None),
    ],
)
def test_only_urls_of_this_server_name_its_files(url: str, expected: str | None) -> None:
    assert blob_of_url(SPACE, url, ("http://here/files/",)) == expected
