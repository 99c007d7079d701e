"""The sections of the page, a module each: what its template is given."""
