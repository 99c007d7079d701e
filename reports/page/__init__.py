"""The page: what is in it, its templates, its writing."""
