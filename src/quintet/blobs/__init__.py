"""Implementations of `ports.blobs`: one adapter over obstore, for a folder and for the object stores."""

from quintet.blobs.keys import check_key, check_prefix
from quintet.blobs.opened import open_blobs

__all__ = ["check_key", "check_prefix", "open_blobs"]
