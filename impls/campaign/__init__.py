"""Runs the networks and the operations of a campaign: one process for each engine, which serves every API on it."""
