"""Writing a report to a file, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from autograder.refusal import Refusal


def write_text(path: Path, text: str) -> None:
    """Write a file, in place of what was there; its directory is made if it is missing.

    Raises:
        Refusal: it can't be written. What was there is then still there, unless it was no plain file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # subtle: /dev/stdout is to be written to. It must not be replaced, which root could do.
        if path.exists() and (path.is_symlink() or not path.is_file()):
            path.write_text(text, encoding="utf-8")
        else:
            _replace(path, text)
    except OSError as error:
        raise Refusal(f"{path}: the report can't be written there: {error.strerror}. Name another file") from None


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
