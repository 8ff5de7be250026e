"""From a submission to a grade: run the suites, score them, describe what was graded.

Everything in this package runs in the grader's own process; student code never does, except in
local mode, which counts for nothing.
"""
