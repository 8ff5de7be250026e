"""A package such as Debian's r-cran-janeaustenr, written here, with novels of one's own.

It writes what `shared/models/austen/corpus.py` reads: R's serialization, a lazy-load database of it, a tar archive of
that, and an `ar` archive around it.
"""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Mapping, Sequence

HEADER = b"X\n" + struct.pack(">iiii", 3, 0x040201, 0x030500, 5) + b"UTF-8"
FOLDER = "./usr/lib/R/site-library/janeaustenr/data/Rdata"
HAS_ATTRIBUTES = 0x200


def package(novels: Mapping[str, str]) -> bytes:
    """The whole .deb: of each novel, its lines."""
    database, places = b"", {}
    for name, text in novels.items():
        content = HEADER + strings(text.split("\n"))
        stored = struct.pack(">i", len(content)) + zlib.compress(content)
        places[name] = (len(database), len(stored))
        database += stored
    variables = named_list({name: integers(place) for name, place in places.items()}, NEW_SYMBOL)
    index = HEADER + named_list({"variables": variables}, SAME_SYMBOL)
    files = {".rdb": database, ".rdx": gzip.compress(index)}
    return (
        b"!<arch>\n"
        + member("debian-binary", b"2.0\n")
        + member("control.tar.xz", b"odd")
        + member("data.tar.xz", archive(files))
    )


def member(name: str, content: bytes) -> bytes:
    """A file of an `ar` archive; one of odd length is followed by a byte that belongs to nobody."""
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
    return header + content + b"\n" * (len(content) % 2)


def archive(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz") as written:
        for ending, content in files.items():
            entry = tarfile.TarInfo(FOLDER + ending)
            entry.size = len(content)
            written.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def integers(values: Sequence[int]) -> bytes:
    return struct.pack(f">ii{len(values)}i", 13, len(values), *values)


def strings(values: Sequence[str]) -> bytes:
    return struct.pack(">ii", 16, len(values)) + b"".join(map(characters, values))


def characters(text: str) -> bytes:
    return struct.pack(">ii", 9, len(text.encode())) + text.encode()


def named_list(values: Mapping[str, bytes], attribute: bytes) -> bytes:
    """A list whose elements have names: an attribute called "names", and the end of the attributes behind it."""
    names = struct.pack(">ii", 2, 1) + attribute + strings(list(values)) + struct.pack(">i", 254)
    return struct.pack(">ii", 19 | HAS_ATTRIBUTES, len(values)) + b"".join(values.values()) + names


# A symbol is written out where it comes first, and is a number afterwards.
NEW_SYMBOL = struct.pack(">i", 1) + characters("names")
SAME_SYMBOL = struct.pack(">i", 1 << 8 | 255)
