"""Reading a tar archive, packed or not, as a stream: once, forwards, with a meter on bytes and time.

The tar format lets a header state any size, be followed by headers about itself, and describe a file with holes;
tarfile believes much of this. The meters and the limit on headers about headers bound what that can cost.
"""

from __future__ import annotations

import gzip
import tarfile
import time
from io import BytesIO
from typing import IO, Any, cast

from autograder.submission.members import ADVICE, MAX_UNPACKED, Members, too_large
from autograder.submission.record import MAX_FILE, TOO_LARGE, SubmissionError

_MAX_SECONDS = 2.0  # of CPU; the largest archive allowed takes a quarter of a second
_MAX_EXTENSION = 4096  # bytes of a header about the next header: room for the longest name there is
_EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link, which is never followed",
    tarfile.LNKTYPE: "a hard link, which is never followed",
    tarfile.FIFOTYPE: "a pipe, not a file",
    tarfile.CHRTYPE: "a device, not a file",
    tarfile.BLKTYPE: "a device, not a file",
    tarfile.REGTYPE: "",
    tarfile.AREGTYPE: "",
    tarfile.DIRTYPE: "",
}


class _Meter:
    """Hands bytes on until too many have passed or too much time. A file as far as gzip and tarfile ask for one."""

    name = ""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file, self._left = file, most
        self._until = time.thread_time() + _MAX_SECONDS

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise too_large()
        if time.thread_time() > self._until:
            raise SubmissionError(f"it takes too long to read: {ADVICE}")
        return data


class _Header(tarfile.TarInfo):
    """A header that is refused, rather than taken for the archive's end, when it is not in order."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError:
            if not any(buf):  # the end, marked by zeros or simply there
                raise
            raise SubmissionError("it is damaged. Pack it again") from None
        # subtle: tarfile reads these whole into memory, and then searches them in quadratic time.
        if header.type in _EXTENSIONS and not 0 <= header.size <= _MAX_EXTENSION:
            raise SubmissionError(f"it has a header too large to be honest: {ADVICE}")
        return header


def read_tar(packed: bytes, is_gzip: bool, members: Members) -> None:
    """Read all that is wanted into `members`. Raises SubmissionError, or what tarfile, gzip and zlib raise."""
    # Metered on both sides of gzip, which may read for long without unpacking anything.
    source = cast("IO[bytes]", _Meter(BytesIO(packed), len(packed)))
    unpacked = cast("IO[bytes]", gzip.GzipFile(fileobj=source)) if is_gzip else source
    stream = cast("Any", _Meter(unpacked, MAX_UNPACKED))
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header, encoding="utf-8") as archive:
        for member in archive:
            if member.size > MAX_UNPACKED:  # or tarfile looks for its end until the time is up
                raise too_large()
            oddity = (
                "a file with holes" if member.issparse() else _KINDS.get(member.type, "neither a file nor a directory")
            )
            if path := members.accept(member.name, oddity):
                members.put(path, *_unpacked(archive, member))
    while stream.read(2**16):  # to the end, where gzip keeps its checksum
        pass


def _unpacked(archive: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[bytes | None, str]:
    """A member's content, or None and why it was refused."""
    if member.isdir():
        return None, "a directory where a file should be"
    if member.size > MAX_FILE:
        return None, TOO_LARGE
    file = archive.extractfile(member)
    content = file.read(MAX_FILE + 1) if file else b""
    return content, ""
