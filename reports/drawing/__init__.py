"""Inline SVG: plots with axes, and sparklines."""
