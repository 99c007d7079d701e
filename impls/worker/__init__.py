"""The lab bench of one process: what it answers, plants, times, counts and rounds. Valid on Python 3.6."""
