"""The autograder of Inference Labs: builds the labs, grades submissions in isolation, reports what it found."""

__version__ = "0.1.0"
