"""The verdict on the benchmarks of a user's project: one list of findings makes all that is written."""
