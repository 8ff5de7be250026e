"""From one solution to everything made of it: skeletons, mutants, `labs/`; and back from an answer to its mistake."""
