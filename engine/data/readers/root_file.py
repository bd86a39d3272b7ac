"""The container part of the ROOT file format: header, directories, keys and compressed records.

Only what is needed to find a tree and its records, with the standard library alone: opening a file costs about a
millisecond, where a general ROOT library costs several hundred (most of it imports). Format: the ROOT manual's "File
format specification" (TFile, TKey and TDirectory records, big-endian throughout).
"""

from __future__ import annotations

import os
import struct
import weakref
import zlib
from dataclasses import dataclass

from engine.errors import DataError

_START = struct.Struct(">4sii")
_SMALL_HEADER = struct.Struct(">iiiii")
_BIG_HEADER = struct.Struct(">qqiii")
_DIRECTORY = struct.Struct(">hIIii")
_KEY = struct.Struct(">ihiIhh")
_SMALL_POINTERS = struct.Struct(">ii")
_BIG_POINTERS = struct.Struct(">qq")
_BLOCK_HEADER = 9
_DIRECTORY_CLASSES = ("TDirectory", "TDirectoryFile")
_LARGEST = 1 << 31  # no record is longer than 2 GiB; larger numbers are damage


@dataclass(frozen=True)
class Key:
    """An object of the file: where its record is and what it says it is."""

    seek: int
    record_bytes: int  # with the key itself
    object_bytes: int  # uncompressed
    key_bytes: int
    cycle: int
    class_name: str
    name: str


class RootFile:
    """An open local ROOT file.

    Raises:
        DataError: the file is no ROOT file, or shorter than its header says.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise DataError(f"{path}: cannot be opened ({error.strerror})") from error
        self._descriptor = descriptor
        self._finalizer = weakref.finalize(self, os.close, descriptor)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        """Check the header and find the top directory."""
        self._size = size = os.fstat(self._descriptor).st_size
        head = os.pread(self._descriptor, 64, 0)
        if not head.startswith(b"root"):
            raise DataError(f"{self.path}: is not a ROOT file ({'it is empty' if not size else 'wrong first bytes'})")
        if len(head) < 64:
            raise DataError(f"{self.path}: is truncated: {size} bytes are less than the header of a ROOT file")
        _, version, begin = _START.unpack_from(head)
        end, _, _, _, name_bytes = (_BIG_HEADER if version >= 1000000 else _SMALL_HEADER).unpack_from(head, 12)
        if end > size:
            raise DataError(f"{self.path}: is truncated: it has {size} of its {end} bytes")
        self._top = self._directory(begin + name_bytes)

    def close(self) -> None:
        """Close the file; twice is once, and a reader that nobody closes does it when it goes."""
        self._finalizer()

    def read_at(self, seek: int, size: int) -> bytes:
        """Exactly `size` bytes from position `seek`.

        Raises:
            DataError: the file ends before, or the numbers make no sense.
        """
        if not (0 <= size < _LARGEST and seek >= 0):
            raise DataError(f"{self.path}: is damaged: a record of {size} bytes at position {seek}")
        data = os.pread(self._descriptor, size, seek) if seek + size <= self._size else b""
        if len(data) != size:
            raise DataError(f"{self.path}: is truncated: it ends inside a record at position {seek}")
        return data

    def objects(self) -> dict[str, Key]:
        """Objects of all directories by their path ("directory/name"), the last cycle of each."""
        found: dict[str, Key] = {}
        self._collect(self._top, "", found, 0)
        return found

    def content(self, key: Key) -> bytes:
        """The uncompressed bytes of an object."""
        payload = self.read_at(key.seek + key.key_bytes, key.record_bytes - key.key_bytes)
        return decompress(payload, key.object_bytes)

    def _collect(self, keys: list[Key], prefix: str, found: dict[str, Key], depth: int) -> None:
        """Add the objects of one directory and of those below it."""
        for key in keys:
            path = prefix + key.name
            if key.class_name in _DIRECTORY_CLASSES:
                if depth < 8:
                    self._collect(self._directory(key.seek + key.key_bytes), f"{path}/", found, depth + 1)
            elif path not in found or found[path].cycle < key.cycle:
                found[path] = key

    def _directory(self, seek: int) -> list[Key]:
        """Keys of the directory whose record starts at `seek`."""
        record = self.read_at(seek, _DIRECTORY.size + 24)
        version, _, _, list_bytes, _ = _DIRECTORY.unpack_from(record)
        form = ">qqq" if version > 1000 else ">iii"
        _, _, keys_seek = struct.unpack_from(form, record, _DIRECTORY.size)
        if keys_seek == 0:
            return []
        data = self.read_at(keys_seek, list_bytes)
        _, position = read_key(data, 0)
        (count,) = struct.unpack_from(">i", data, position)
        position += 4
        keys = []
        for _ in range(count):
            key, position = read_key(data, position)
            keys.append(key)
        return keys


def read_key(data: bytes, position: int) -> tuple[Key, int]:
    """A key and the position after it."""
    record_bytes, version, object_bytes, _, key_bytes, cycle = _KEY.unpack_from(data, position)
    position += _KEY.size
    pointers = _BIG_POINTERS if version > 1000 else _SMALL_POINTERS
    seek, _ = pointers.unpack_from(data, position)
    position += pointers.size
    class_name, position = read_string(data, position)
    name, position = read_string(data, position)
    _, position = read_string(data, position)
    return Key(seek, record_bytes, object_bytes, key_bytes, cycle, class_name, name), position


def read_string(data: bytes, position: int) -> tuple[str, int]:
    """A TString (one length byte, or 255 and four) and the position after it."""
    length = data[position]
    position += 1
    if length == 255:
        (length,) = struct.unpack_from(">i", data, position)
        position += 4
    end = position + length
    if length < 0 or end > len(data):
        raise ValueError("a name that is longer than its record")
    return data[position:end].decode("utf-8", "replace"), end


def decompress(payload: bytes, size: int) -> bytes:
    """The content of a record: its compressed blocks end to end, or the payload itself where it was stored as it is.

    Raises:
        ValueError: a block is damaged or of an unknown kind.
    """
    if len(payload) == size:
        return payload
    blocks, position, found = [], 0, 0
    while found < size:
        header = payload[position : position + _BLOCK_HEADER]
        if len(header) < _BLOCK_HEADER:
            raise ValueError("a compressed record that ends too early")
        packed = int.from_bytes(header[3:6], "little")
        length = int.from_bytes(header[6:9], "little")
        start = position + _BLOCK_HEADER
        block = _decompress_block(header[:2], payload[start : start + packed], length)
        if len(block) != length or length == 0:
            raise ValueError("a compressed block of the wrong length")
        blocks.append(block)
        found += length
        position = start + packed
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def _decompress_block(kind: bytes, block: bytes, length: int) -> bytes:
    """One block of the given two-letter kind."""
    if kind == b"ZL":
        return zlib.decompress(block, bufsize=length)
    if kind == b"XZ":
        import lzma

        return lzma.decompress(block)
    import cramjam

    if kind == b"L4":  # eight bytes of checksum first
        return bytes(cramjam.lz4.decompress_block(block[8:], output_len=length))
    if kind == b"ZS":
        return bytes(cramjam.zstd.decompress(block, output_len=length))
    raise ValueError(f"a block compressed in an unknown way ({kind!r})")
