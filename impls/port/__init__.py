"""All that serves a user's model file: one side of the port checker, and its worker."""
