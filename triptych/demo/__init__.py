"""`triptych demo`: two files that should be the same model, and the bug that makes them differ."""
