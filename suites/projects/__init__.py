"""Gates any project: its own benchmarks, as they are, of two revisions in two sets of live pytest sessions."""
