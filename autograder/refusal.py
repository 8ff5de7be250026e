"""The one thing that every part raises when it can't go on and nobody's code is to blame for a score."""


class Refusal(Exception):
    """Says what is wrong, where, why, and what to do. The command line prints it and exits with status 2."""
