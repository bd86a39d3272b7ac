"""Loading pickles without running anything that they name.

A pickle is a program: it may call any function by its name. Here a name is only ever turned into an inert record of the
call (which name, which arguments, which state), and only names that a pickled pandas table needs are accepted. The
table is put together from these records afterwards, so neither pandas nor NumPy code runs on what the pickle says.
"""

from __future__ import annotations

import pickle
from typing import Any, BinaryIO

from engine.data.readers.base import reason
from engine.errors import DataError

_ALLOWED = {
    "pandas": (
        "DataFrame",
        "BlockManager",
        "_unpickle_block",
        "_new_Index",
        "Index",
        "RangeIndex",
        "Int64Index",
        "UInt64Index",
        "Float64Index",
        "ArrowStringArray",
        "StringDtype",
    ),
    "numpy": ("_reconstruct", "_frombuffer", "ndarray", "dtype"),
    "pyarrow": ("_restore_array", "type_for_alias", "py_buffer"),
    "builtins": ("slice", "bytearray"),
    "__builtin__": ("slice", "bytearray"),
    "_codecs": ("encode",),
}
"""Package -> names accepted from it and from the modules below it (where exactly they live has changed)."""


class Record:
    """What a pickle asked for: `name(*arguments)` and then the state it set. Does nothing itself."""

    name = ""

    def __new__(cls, *arguments: Any) -> Record:
        """Keep the arguments, whatever they are."""
        record = super().__new__(cls)
        record.arguments = arguments
        record.state = None
        return record

    arguments: tuple[Any, ...]
    state: Any

    def __init__(self, *arguments: Any) -> None:
        """Nothing is left to do: pickle calls this, or does not, depending on its protocol."""

    def __setstate__(self, state: Any) -> None:
        """Keep the state."""
        self.state = state


class _Loader(pickle.Unpickler):
    """An unpickler that turns every accepted name into a `Record` class and refuses all others."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        super().__init__(file)
        self._path = path
        self._classes: dict[str, type[Record]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The record class of a name.

        Raises:
            DataError: the name is not one that a table needs.
        """
        package = module.partition(".")[0]
        if name not in _ALLOWED.get(package, ()):
            shown = " ".join(f"{module}.{name}".split())[:80]
            raise DataError(
                f"{self._path}: refused: the pickle names '{shown}', which is not part of a plain table "
                "(numbers and strings) and could run anything; write the table as Parquet instead"
            )
        return self._classes.setdefault(name, type("Record", (Record,), {"name": name}))

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to objects outside of the file."""
        raise DataError(f"{self._path}: refused: the pickle refers to objects outside of the file")


def load_records(path: str, file: BinaryIO) -> Any:
    """The content of a pickle, with a `Record` wherever it names a class or function.

    Raises:
        DataError: the pickle names something that is not allowed, or is damaged.
    """
    try:
        return _Loader(file, path).load()
    except DataError:
        raise
    except Exception as error:  # the opcodes of a damaged pickle can fail in any way
        raise DataError(f"{path}: is no pickle, or a damaged one ({reason(error)})") from error
