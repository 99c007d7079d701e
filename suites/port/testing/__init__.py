"""Pairs of models with and without bugs, for tests of the port checker."""
