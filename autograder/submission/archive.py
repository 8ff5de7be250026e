"""Reading a .zip, .tar, .tar.gz or .tgz in memory; nothing is unpacked to disk.

No size that an archive states is trusted: what counts is what comes out, and reading stops at a limit
on bytes, entries and time. An archive within an archive stays closed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from autograder.submission.members import ADVICE, MAX_ENTRIES, Members
from autograder.submission.record import MAX_FILE, TOO_LARGE, SubmissionError, oddity
from autograder.submission.tar import read_tar

MAX_ARCHIVE = 32 * 2**20  # bytes, packed
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")

_ENCRYPTED, _STRONGLY_ENCRYPTED, _PATCHED = 0x1, 0x40, 0x20


def suffix_of(path: Path) -> str:
    """Which of `SUFFIXES` a name ends in, or ""."""
    return next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), "")


def read_archive(path: Path, wanted: Iterable[str]) -> Members:
    """The members of an archive whose bare names are `wanted`.

    Raises:
        OSError: there is no such file, or it can't be opened.
        SubmissionError: it is damaged, too large, or built to do harm.
    """
    members = Members(wanted)
    packed = _packed(path)
    try:
        if suffix_of(path) == ".zip":
            _read_zip(packed, members)
        else:
            read_tar(packed, suffix_of(path) != ".tar", members)
    except SubmissionError:
        raise
    # Of what the libraries raise over hostile bytes only a part is documented.
    except Exception as error:
        kind = suffix_of(path).lstrip(".")
        message = f"it can't be read as a {kind} archive and may be damaged ({type(error).__name__}). Pack it again"
        raise SubmissionError(message) from error
    return members


def _packed(path: Path) -> bytes:
    """The whole file, so that nobody changes it between one look and the next."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if problem := oddity(os.fstat(file.fileno()).st_mode):
            raise SubmissionError(f"{problem}: {ADVICE}")
        packed = file.read(MAX_ARCHIVE + 1)
    if len(packed) > MAX_ARCHIVE:
        raise SubmissionError(f"it is larger than {MAX_ARCHIVE // 2**20} MiB: {ADVICE}")
    return packed


def _read_zip(packed: bytes, members: Members) -> None:
    # subtle: ZipFile reads the whole table of contents before it tells how long that is, a second and 100 MB
    # for 100,000 entries. Each entry begins with these four bytes, or ZipFile refuses it.
    if packed.count(b"PK\x01\x02") > MAX_ENTRIES:
        raise SubmissionError(f"it holds more than {MAX_ENTRIES:,} entries: {ADVICE}")
    with ZipFile(BytesIO(packed)) as archive:
        # subtle: a thousand entries may share one content, and each makes it be read again.
        if sum(entry.compress_size for entry in archive.infolist()) > len(packed):
            raise SubmissionError(f"its entries lie within each other: {ADVICE}")
        for entry in archive.infolist():
            # Not entry.filename, which ends at the first NUL byte.
            name = entry.orig_filename
            if path := members.accept(name, "" if name.endswith("/") else _oddity(entry)):
                members.put(path, *_unpacked(archive, entry))


def _oddity(entry: ZipInfo) -> str:
    """Why an entry is no plain file, by the Unix mode that it may carry; "" if it is one."""
    mode = entry.external_attr >> 16
    return oddity(mode) if stat.S_IFMT(mode) else ""


def _unpacked(archive: ZipFile, entry: ZipInfo) -> tuple[bytes | None, str]:
    """An entry's content, or None and why it was refused."""
    if entry.orig_filename.endswith(("/", "\\")):
        return None, "a directory where a file should be"
    if entry.flag_bits & (_ENCRYPTED | _STRONGLY_ENCRYPTED):
        return None, "it is encrypted; pack it without a password"
    # Other methods unpack a block as a whole, however large it becomes.
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED) or entry.flag_bits & _PATCHED:
        return None, "it is packed in an unusual way; pack it as an ordinary zip"
    if entry.file_size > MAX_FILE:
        return None, TOO_LARGE
    with archive.open(entry) as file:
        # subtle: asked for more than the stated size, it unpacks all that, drops it, and the next entry does it again.
        return file.read(entry.file_size), ""
