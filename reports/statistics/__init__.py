"""Ratios with intervals, change points, the cost model."""
