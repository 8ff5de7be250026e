"""Views of a grade, a file for each format. None of them adds to it, and all escape what a submission wrote."""
