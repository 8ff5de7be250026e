"""Archives of every kind and every malice, written member by member; and what they say they hold, read independently."""

from __future__ import annotations

import gzip
import stat
import struct
import tarfile
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from tests.autograder.intake import ANSWER

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
_MODES = {
    tarfile.REGTYPE: stat.S_IFREG,
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
}


@dataclass(frozen=True)
class Member:
    """`type` is one of tarfile's, `target` where a link leads."""

    name: str
    content: bytes = ANSWER
    type: bytes = tarfile.REGTYPE
    target: str = ""


def pack(path: Path, *members: Member | str) -> Path:
    """An archive of the kind that the name of `path` says; a bare name stands for a file with an answer."""
    full = [Member(member) if isinstance(member, str) else member for member in members]
    if path.name.endswith(".zip"):
        path.write_bytes(_zipped(full))
    else:
        tarred = b"".join(map(tar_entry, full)) + bytes(1024)
        path.write_bytes(tarred if path.name.endswith(".tar") else gzip.compress(tarred, 6))
    return path


def tar_entry(member: Member, stated: int | None = None, pax: dict[str, str] | None = None) -> bytes:
    """Header and content, the header possibly stating another size."""
    info = tarfile.TarInfo(member.name)
    info.type, info.linkname = member.type, member.target
    content = member.content if member.type == tarfile.REGTYPE else b""
    info.size = len(content) if stated is None else stated
    # A name in a pax header may hold anything, such as NUL bytes; in a plain one it ends there.
    info.pax_headers = (pax or {}) | ({"path": member.name} if "\0" in member.name else {})
    if info.pax_headers:
        header = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    else:
        header = info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    return header + content + bytes(-len(content) % 512)


def _zipped(members: list[Member]) -> bytes:
    file = BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names that occur twice
        for member in members:
            info = ZipInfo()
            info.filename, info.compress_type = member.name, ZIP_DEFLATED
            info.external_attr = (_MODES[member.type] | 0o644) << 16
            archive.writestr(info, member.target or member.content)
    return file.getvalue()


def raw_zip(entries: list[tuple[str, bytes, int, int]], shared: bytes = b"") -> bytes:
    """A zip of any lies: each entry a name, its deflated content, and the size and checksum that it states.

    With `shared`, a content that lies behind all the headers, each entry means that one and has none of its own.
    """
    body, table = bytearray(), bytearray()
    between = sum(30 + len(name.encode()) for name, *_ in entries)
    for name, content, size, checksum in entries:
        raw, offset = name.encode(), len(body)
        between -= 30 + len(raw)  # headers up to the shared content: skipped as if they were "extra" to this one
        about = struct.pack("<3H2x3LH", 0, 8, 0, checksum, len(shared or content), size, len(raw))
        body += b"PK\3\4\24\0" + about + struct.pack("<H", between if shared else 0) + raw
        body += b"" if shared else content
        table += b"PK\1\2\24\0\24\0" + about + struct.pack("<12xL", offset) + raw
    body += shared
    end = struct.pack("<4s4x2H2L2x", b"PK\5\6", *2 * [min(len(entries), 0xFFFF)], len(table), len(body))
    return bytes(body + table + end)


def deflated(content: bytes) -> bytes:
    """As it lies in a zip, without a header."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def names_in(path: Path) -> list[str]:
    """The names that an archive states, as they stand there."""
    if path.name.endswith(".zip"):
        with ZipFile(path) as archive:
            return [entry.orig_filename for entry in archive.infolist()]
    with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as archive:
        return archive.getnames()


def types_in(path: Path) -> list[bytes]:
    """What an archive says its members are, one of tarfile's types each."""
    if path.name.endswith(".zip"):
        types = {mode: type for type, mode in _MODES.items()}
        with ZipFile(path) as archive:
            return [types[stat.S_IFMT(entry.external_attr >> 16)] for entry in archive.infolist()]
    with tarfile.open(path) as archive:
        return [member.type for member in archive.getmembers()]


def encrypted_zip(name: str, content: bytes, password: bytes) -> bytes:
    """An entry under the zip format's first cipher, which every tool knows."""
    checksum = zlib.crc32(content)
    plain = bytes(11) + bytes([checksum >> 24]) + content
    keys, secret = [0x12345678, 0x23456789, 0x34567890], bytearray()
    for index, byte in enumerate(password + plain):
        if index >= len(password):
            mask = (keys[2] & 0xFFFF) | 2
            secret.append(byte ^ ((mask * (mask ^ 1) >> 8) & 0xFF))
        keys[0] = _crc(keys[0], byte)
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = _crc(keys[2], keys[1] >> 24)
    packed = bytearray(raw_zip([(name, bytes(secret), len(content), checksum)]))
    for start, flags, method in ((b"PK\3\4", 6, 8), (b"PK\1\2", 8, 10)):
        at = packed.index(start)
        packed[at + flags], packed[at + method] = 1, 0  # encrypted, and stored
    return bytes(packed)


def _crc(key: int, byte: int) -> int:
    """One step of CRC-32 without the inversions at both ends, which zlib makes."""
    return ~zlib.crc32(bytes([byte]), ~key & 0xFFFFFFFF) & 0xFFFFFFFF
