"""Writing the container of a ROOT file: header, one directory, records with their keys (all with 64-bit positions)."""

from __future__ import annotations

import struct
import zlib
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from engine.files import complete

_BEGIN = 100
_FILE_VERSION = 1062206  # 6.22/06; 1000000 more says that positions have 64 bits
_KEY_VERSION = 1004
_DIRECTORY_VERSION = 1005
_TIME = 0x66E00000  # a fixed date, so that equal content gives equal files
_KEY = struct.Struct(">ihiIhhqq")
_DIRECTORY = struct.Struct(">hIIiiqqq")
_UUID = struct.pack(">H16s", 1, b"engine.simulate.")
_LARGEST_BLOCK = 0xFFFFFF
_COMPRESSION = 101  # zlib, level 1
BYTE_COUNT = 0x40000000


def text(value: str) -> bytes:
    """A TString."""
    data = value.encode()
    length = bytes([len(data)]) if len(data) < 255 else b"\xff" + struct.pack(">i", len(data))
    return length + data


def versioned(version: int, content: bytes) -> bytes:
    """An object with its byte count and class version."""
    return struct.pack(">IH", BYTE_COUNT | (len(content) + 2), version) + content


def compress(content: bytes) -> bytes:
    """zlib blocks with ROOT's headers, or the content itself where that is not longer."""
    blocks = []
    for start in range(0, len(content), _LARGEST_BLOCK):
        part = content[start : start + _LARGEST_BLOCK]
        packed = zlib.compress(part, 1)
        if len(packed) > _LARGEST_BLOCK:
            return content
        sizes = len(packed).to_bytes(3, "little") + len(part).to_bytes(3, "little")
        blocks.append(b"ZL\x08" + sizes + packed)
    packed_all = b"".join(blocks)
    return packed_all if len(packed_all) < len(content) else content


class RootContainer:
    """A new ROOT file: records are appended, and the directory and header are written at the end.

    The file appears under its name only when it is complete.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._whole = ExitStack()
        self._file = self._whole.enter_context(self._whole.enter_context(complete(path)).open("wb"))
        self._keys: list[bytes] = []
        name = text(path.name) + text("")
        header = self._key("TFile", path.name, "", _BEGIN, len(name) + _DIRECTORY.size + len(_UUID), cycle=1, parent=0)
        self._name_bytes = len(header) + len(name)
        self._file.write(bytes(_BEGIN) + header + name + bytes(_DIRECTORY.size) + _UUID)

    def __enter__(self) -> RootContainer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._whole.__exit__(kind, error, trace)
            return
        with self._whole:
            self._finish()

    @property
    def position(self) -> int:
        """Where the next record starts."""
        return self._file.tell()

    def add_basket(self, branch: str, tree: str, number: int, tail: bytes, content: bytes) -> tuple[int, int, int]:
        """Append a record that no directory lists; `tail` is the part of its key that only baskets have.

        Returns:
            Position, bytes in the file, bytes when uncompressed (both with the key).
        """
        seek = self.position
        packed = compress(content)
        key = self._key("TBasket", branch, tree, seek, len(content), number, packed=len(packed), tail=tail)
        self._file.write(key + packed)
        return seek, len(key) + len(packed), len(key) + len(content)

    def add_object(self, class_name: str, name: str, title: str, content: bytes) -> None:
        """Append an object and list it in the directory."""
        packed = compress(content)
        key = self._key(class_name, name, title, self.position, len(content), cycle=1, packed=len(packed))
        self._file.write(key + packed)
        self._keys.append(key)

    def _finish(self) -> None:
        """Write directory, free list and header."""
        streamers = versioned(5, struct.pack(">HII", 1, 0, 0x02000000) + text("") + struct.pack(">i", 0))
        streamer_seek, streamer_bytes = self._record("TList", "StreamerInfo", streamers)
        keys_seek, keys_bytes = self._record("TFile", self.path.name, struct.pack(">i", len(self._keys)), *self._keys)
        free_seek = self.position
        free_bytes = len(self._key("TFile", self.path.name, "", free_seek, 18, 1)) + 18
        end = free_seek + free_bytes
        self._record("TFile", self.path.name, struct.pack(">hqq", 1001, end, max(2 * end, 2_000_000_000)))
        numbers = struct.pack(">qqiiibi", end, free_seek, free_bytes, 1, self._name_bytes, 8, _COMPRESSION)
        numbers += struct.pack(">qi", streamer_seek, streamer_bytes)
        self._file.seek(0)
        self._file.write(struct.pack(">4sii", b"root", _FILE_VERSION, _BEGIN) + numbers + _UUID)
        self._file.seek(_BEGIN + self._name_bytes)
        self._file.write(
            _DIRECTORY.pack(_DIRECTORY_VERSION, _TIME, _TIME, keys_bytes, self._name_bytes, _BEGIN, 0, keys_seek)
        )

    def _record(self, class_name: str, name: str, *content: bytes) -> tuple[int, int]:
        """Append an uncompressed record; returns its position and length."""
        seek = self.position
        data = b"".join(content)
        key = self._key(class_name, name, "", seek, len(data), cycle=1)
        self._file.write(key + data)
        return seek, len(key) + len(data)

    def _key(
        self,
        class_name: str,
        name: str,
        title: str,
        seek: int,
        size: int,
        cycle: int,
        *,
        packed: int | None = None,
        tail: bytes = b"",
        parent: int = _BEGIN,
    ) -> bytes:
        """A key whose object has `size` bytes and takes `packed` of them in the file."""
        names = text(class_name) + text(name) + text(title) + tail
        length = _KEY.size + len(names)
        stored = size if packed is None else packed
        return _KEY.pack(length + stored, _KEY_VERSION, size, _TIME, length, cycle, seek, parent) + names
