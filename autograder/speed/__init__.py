"""Speed as a grade: counted where it can be, by how it grows where not, and never by a bare stopwatch."""
