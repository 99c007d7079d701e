"""The verdict on two revisions: one list of findings makes the exit status and everything that is written."""
