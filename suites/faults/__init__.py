"""The catalogue of faults that really happen, and the scoreboard that plants each and counts what is found."""
