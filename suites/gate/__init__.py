"""Base and head in turn: paired rounds, exact counts, the revisions they come from, and the count of its errors."""
