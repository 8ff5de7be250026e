"""What was taken from a submission: the bytes of the files that a lab names, and what was refused.

Plain data and words, no file access. Text that came from a submission is escaped before it is shown.
"""

from __future__ import annotations

import hashlib
import stat

from msgspec import Struct

from autograder.refusal import Refusal

MAX_FILE = 2**17  # bytes of one file; a finished lab file has some 10,000, and parsing takes 1000 times its size
MAX_SHOWN = 120  # characters of a name

_KINDS = {
    stat.S_IFLNK: "a symbolic link, which is never followed",
    stat.S_IFDIR: "a directory where a file should be",
    stat.S_IFIFO: "a pipe, not a file",
    stat.S_IFCHR: "a device, not a file",
    stat.S_IFBLK: "a device, not a file",
    stat.S_IFSOCK: "a socket, not a file",
}
TOO_LARGE = f"larger than {MAX_FILE // 2**10} KiB, more than any answer needs"


class SubmissionError(Refusal):
    """Nothing in a submission can be graded, or it may not be. Says what, where, why and what to do."""


class Submission(Struct, frozen=True):
    """The files to grade.

    Attributes:
        path: where they came from, as the caller named it.
        files: content by name, such as "labs/lab3_simple_kv_cache/cache.py". Untrusted bytes.
        problems: what was refused and why, one line each, safe to print.
    """

    path: str
    files: dict[str, bytes]
    problems: tuple[str, ...] = ()

    @property
    def sha256(self) -> dict[str, str]:
        """The digest of each file, in hexadecimal."""
        return {name: hashlib.sha256(content).hexdigest() for name, content in self.files.items()}

    def text(self, name: str) -> str:
        """A file as Python reads it: no byte order mark, lines end in "\\n"; what is not UTF-8 becomes U+FFFD.

        Raises:
            KeyError: no such file was handed in.
        """
        text = self.files[name].decode("utf-8-sig", errors="replace")
        return text.replace("\r\n", "\n").replace("\r", "\n")


def shown(name: str) -> str:
    """A name from a submission, in one line and harmless: what does not print is escaped, what is long is cut."""
    return printable(name if len(name) <= MAX_SHOWN else name[:MAX_SHOWN] + "…")


def printable(text: str) -> str:
    """The text in one line: what does not print is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def oddity(mode: int) -> str:
    """Why something of this file mode can't be taken; empty for a regular file."""
    if stat.S_ISREG(mode):
        return ""
    return _KINDS.get(stat.S_IFMT(mode), "neither a file nor a directory")
