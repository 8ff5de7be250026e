"""Submissions to the course under attack, written to disk as students hand them in."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

from tests.attacks.target import LAB, RIGHT


def hand_in(root: Path, total_py: str | None) -> Path:
    """A submission below `root`: right answers but for `total.py`, which is not there at all when None."""
    folder = root / "handed_in" / "labs" / LAB
    folder.mkdir(parents=True)
    for name, text in RIGHT.items():
        if name != "total.py":
            (folder / name).write_text(text)
    if total_py is not None:
        (folder / "total.py").write_text(total_py)
    return root / "handed_in"


def archive(kind: str, members: dict[str, tuple[bytes, str]], path: Path) -> Path:
    """A zip or tar of members: content, and the path that it is a symbolic link to, or nothing."""
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, (content, target) in members.items():
                entry = zipfile.ZipInfo(name)
                entry.external_attr = (0o120777 if target else 0o100644) << 16
                packed.writestr(entry, target.encode() or content, zipfile.ZIP_DEFLATED)
        return path
    with tarfile.open(path, "w:gz") as packed:
        for name, (content, target) in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(content), tarfile.SYMTYPE if target else tarfile.REGTYPE, target
            packed.addfile(info, io.BytesIO(content))
    return path
