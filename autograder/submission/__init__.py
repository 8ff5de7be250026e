"""Taking a submission in: collect the files that a lab names, and inspect them without running them.

Nothing here is unpacked to disk, followed or executed. What a file does when it runs is for `isolation`.
"""

from autograder.submission.collect import collect
from autograder.submission.inspect import FileReport, inspect
from autograder.submission.record import Submission, SubmissionError

__all__ = ["FileReport", "Submission", "SubmissionError", "collect", "inspect"]
