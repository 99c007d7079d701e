"""Which weight of A is which of B."""
