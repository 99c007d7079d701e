"""What a hypothesis is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """What a difference is: a template with `{a}` and `{b}`, and both sides."""

    signature: str
    template: str
    a: str
    b: str
    released: str = ""  # key into the known differences, where no port can avoid it

    def words(self) -> str:
        return self.template.format(a=self.a, b=self.b)

    def swapped(self) -> Cause:
        """The same difference with A and B in each other's place."""
        return Cause(self.signature, self.template, self.b, self.a, self.released)
