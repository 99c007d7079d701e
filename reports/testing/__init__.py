"""Synthetic runs for tests of the page."""
