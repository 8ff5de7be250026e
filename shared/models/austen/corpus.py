"""Six novels of Jane Austen, read from Debian's package `r-cran-janeaustenr`, version 1.0.0-1.

The package holds them as a database of the language R: an index (.rdx) that says where in a second file (.rdb)
each object lies, both compressed and in R's serialization format. Only what occurs in this package is understood;
the format is described in "R Internals", section 1.8. Nothing is installed and no R is needed:

    apt-get download r-cran-janeaustenr        # on Debian or Ubuntu
"""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
import zlib
from pathlib import Path
from typing import Any

SHA256 = "df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95"
NOVELS = ("sensesensibility", "prideprejudice", "mansfieldpark", "emma", "northangerabbey", "persuasion")
_FOLDER = "./usr/lib/R/site-library/janeaustenr/data/Rdata"

# Types of R's serialization, by number: what is read is what this package contains.
_NULL, _PAIRS, _CHARACTERS, _BOOLEANS, _INTEGERS, _STRINGS, _LIST = 254, 2, 9, 10, 13, 16, 19
_SYMBOL, _REFERENCE = 1, 255


def read_novels(package: Path) -> dict[str, str]:
    """The text of each novel, by name, lines joined to paragraphs and paragraphs apart by an empty line.

    Raises:
        OSError: the package can't be read.
        ValueError: it is another package, or another version of it.
    """
    content = package.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != SHA256:
        raise ValueError(f"{package} has the SHA-256 {found}; r-cran-janeaustenr 1.0.0-1 has {SHA256}")
    files = _files(content)
    index = _Reader(gzip.decompress(files[".rdx"])).value()
    return {name: _paragraphs(_object(files[".rdb"], *index["variables"][name])) for name in NOVELS}


def _files(package: bytes) -> dict[str, bytes]:
    """The two files of the database, by ending, out of a .deb: an `ar` archive with a tar archive in it."""
    position = len("!<arch>\n")
    while not package[position:].startswith(b"data.tar"):
        position += 60 + _even(int(package[position + 48 : position + 58]))
    size = int(package[position + 48 : position + 58])
    with tarfile.open(fileobj=io.BytesIO(package[position + 60 : position + 60 + size])) as archive:
        members = {ending: archive.extractfile(_FOLDER + ending) for ending in (".rdx", ".rdb")}
        return {ending: member.read() for ending, member in members.items() if member}


def _even(size: int) -> int:
    return size + size % 2


def _object(database: bytes, offset: int, size: int) -> list[str]:
    # four bytes say how long the object is once it is unpacked
    lines: list[str] = _Reader(zlib.decompress(database[offset + 4 : offset + size])).value()
    return lines


def _paragraphs(lines: list[str]) -> str:
    paragraphs = "\n".join(line.strip() for line in lines).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs if paragraph.strip())


class _Reader:
    """Reads one serialized object, big-endian ("XDR"), from its first byte to its last."""

    def __init__(self, content: bytes) -> None:
        if content[:2] != b"X\n":
            raise ValueError(f"not serialized by R as XDR: it begins with {content[:2]!r}")
        self.stream = io.BytesIO(content[2:])
        self.symbols: list[str] = []
        self.stream.seek(12, io.SEEK_CUR)  # the format's version, which is 3, and those of R
        self.stream.seek(self._integer(), io.SEEK_CUR)  # the encoding's name, "UTF-8"

    def _integer(self) -> int:
        (number,) = struct.unpack(">i", self.stream.read(4))
        return int(number)

    def value(self) -> Any:
        """The next object: None, a str, a list of int or str, a list, or a dict where R has names."""
        flags = self._integer()
        kind, has_attributes = flags & 0xFF, bool(flags & 0x200)
        if kind == _NULL:
            return None
        if kind in (_SYMBOL, _REFERENCE):
            return self._symbol(flags)
        if kind == _PAIRS:
            return self._pairs(flags)
        if kind == _CHARACTERS:
            return self.stream.read(self._integer()).decode()
        return self._vector(kind, has_attributes)

    def _symbol(self, flags: int) -> str:
        if flags & 0xFF == _REFERENCE:
            return self.symbols[(flags >> 8) - 1]
        self.symbols.append(self.value())
        return self.symbols[-1]

    def _pairs(self, flags: int) -> dict[str, Any]:
        pairs = {}
        while flags & 0xFF == _PAIRS:
            name = self.value()
            pairs[name] = self.value()
            flags = self._integer()
        return pairs

    def _vector(self, kind: int, has_attributes: bool) -> Any:
        length = self._integer()
        if kind in (_BOOLEANS, _INTEGERS):
            values: list[Any] = [self._integer() for _ in range(length)]
        elif kind in (_STRINGS, _LIST):
            values = [self.value() for _ in range(length)]
        else:
            raise ValueError(f"type {kind} of R's serialization is not understood here")
        names = self.value().get("names") if has_attributes else None
        return dict(zip(names, values, strict=True)) if names else values
