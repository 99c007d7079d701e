"""What is replaced for a while is as it was afterwards."""

from __future__ import annotations

import pytest

from impls.replacing import replaced


def test_all_is_as_it_was_after_an_error_too() -> None:
    """A class that has its method from another one, which is replaced as well, must not keep the replacement."""

    class Base:
        def draw(self) -> str:
            return "own"

    class Derived(Base):
        pass

    with pytest.raises(ZeroDivisionError), replaced([(kind, "draw", lambda self: "zeros") for kind in (Base, Derived)]):
        assert (Base().draw(), Derived().draw()) == ("zeros", "zeros")
        raise ZeroDivisionError
    assert (Base().draw(), Derived().draw()) == ("own", "own")
