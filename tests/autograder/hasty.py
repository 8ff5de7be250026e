"""A module that looks for a place for temporary files as it is imported, as a library that prepares a cache does."""

import tempfile

FOUND = tempfile.gettempdir()
