"""A campaign: random networks and operations on every engine, judged by derived bounds."""
