"""Fault injection by the syntax tree: small changes of the shim's sources, and the tests that have to notice each."""
