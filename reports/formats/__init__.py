"""The same evidence for those who want no page: Markdown, CSV, JSON, a terminal."""
