"""What all programs that are written from a drawn network have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from suites.port.testing.networks import Network, Step, same_padding


class Writer:
    """Lines of a program: `made` in the constructor, `lines` in the forward pass, where x is what there is so far."""

    head = ""
    functions: Mapping[str, str] = {}
    lacks: tuple[str, ...] = ()

    def __init__(self, network: Network) -> None:
        self.network = network
        self.made: list[str] = []
        self.lines: list[str] = []
        self.branches = 0
        self.steps(network.steps)

    def steps(self, steps: Sequence[Step]) -> None:
        for step in steps:
            getattr(self, step.kind)(step)

    def line(self, text: str) -> None:
        self.lines.append(text)

    def activation(self, step: Step) -> None:
        self.line(f"x = {self.functions[step['function']]}")

    def branch(self, step: Step) -> None:
        self.branches += 1
        kept = f"skip{self.branches}"
        self.line(f"{kept} = x")
        self.steps(step.inner)
        self.line(f"x = {kept} + x")

    def mean(self, step: Step) -> None:
        axes = "(1, 2)" if len(step.shape) == 3 else "1"
        self.line(f"x = x.mean({axes})")

    def last(self, step: Step) -> None:
        self.line("x = x[:, -1]")

    def text(self) -> str:
        raise NotImplementedError

    def indented(self, lines: Sequence[str], depth: int) -> str:
        return "".join(f"{' ' * depth}{line}\n" for line in lines)

    def padding(self, step: Step) -> list[tuple[int, int]]:
        """What a window pads, axis by axis."""
        if step["padding"] == "valid":
            return [(0, 0)] * (len(step.shape) - 1)
        if step["padding"] == "even":
            return [(step["size"] // 2, step["size"] // 2)] * (len(step.shape) - 1)
        dilation = step.settings.get("dilation", 1)
        return [same_padding(n, step["size"], step["stride"], dilation) for n in step.shape[:-1]]
