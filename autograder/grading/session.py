"""Grading one submission: inspect every file, run what can be run, score, and say what was graded."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from autograder import __version__
from autograder.course import Course
from autograder.grading import scoring
from autograder.grading.plan import Inspected, settled
from autograder.grading.plugin import OpenWorker, Run
from autograder.grading.result import ExerciseResult, Grade, Graded, LabResult
from autograder.grading.suites import SHRINK_EXECUTIONS, run_suites, suite_files
from autograder.lab import Lab
from autograder.submission import Submission
