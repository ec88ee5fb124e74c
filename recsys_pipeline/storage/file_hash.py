"""The hash of a file's bytes, the same in records, manifests and seals."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

_BLOCK = 1 << 20


def hash_file(handle: BinaryIO) -> str:
    """Return the hash of an open file's bytes: BLAKE2b, 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    while block := handle.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()
