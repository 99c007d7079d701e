"""Helpers of the shim's own tests."""
