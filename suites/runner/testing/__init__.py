"""A source root with workers that crash, hang and lie, for tests."""
