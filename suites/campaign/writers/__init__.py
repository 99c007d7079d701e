"""Write a network as its user would: in Keras 3, in torch.nn, in plain JAX."""

from __future__ import annotations


class NotWritten(ValueError):
    """A layer or an option that an API has no equal of; the message says which."""
