"""Figures worth quoting, measured in one run and written to BENCHMARKS.md: `make bench`.

A file for each subject. Nothing here decides a grade; what does is in `autograder/speed/`.
"""
