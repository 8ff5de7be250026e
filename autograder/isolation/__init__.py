"""Running a submission where it can reach nothing: sandbox, zygote, worker, wire and proxies.

The grader's side (`launcher`, `remote`, `proxy`) and the student's side (`worker`) share only the
`wire`. Nothing here knows about tests, points or labs.
"""
