"""What a reader has to know to read a program: each concept, and the syntax and API names that show it.

A program shows a concept where a piece of its evidence matches one of the concept's patterns (those of `fnmatch`, case
matters). A piece of evidence is `section: thing`; the thing is

- an API name with aliases resolved, `tensorflow.Variable`, as `suites.code.counts` has them,
- `.name()` for a method that is called on any other value, the program's own methods too,
- `name=` for a keyword argument of a call, `name` for a plain name, `'text'` for a string,
- `for`, `[:]`, `[]=`, `@`, `class` for a loop, a slice with two ends, a value put into a container, a matrix product, a
  class of the program's own.

The main part is no part of what has to be read. That a program shows a concept says nothing of how often.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from suites.code.syntax import IMPORTS, MAIN, aliases, dotted, parts


class Concept(NamedTuple):
    """What has to be known, in a few words, and the evidence that shows it."""

    meaning: str
    shown_by: tuple[str, ...]


CONCEPTS = {
    "layers": Concept(
        "objects that hold weights and are called in turn",
        ("*: keras.layers.*", "*: torch.nn.[A-Z]*", "*: impls.shim.Dense"),
    ),
    "a layer's arithmetic": Concept(
        "what a layer computes, written out", ("Model: @", "Model: tensorflow.matmul", "Model: tensorflow.tensordot")
    ),
    "a cell's gates": Concept("what an LSTM does in one step", ("Model: *.tanh",)),
    "running statistics": Concept(
        "BatchNorm's means, kept by hand", ("Model: *.moments", "Model: *.batch_norm", "Model: .var()")
    ),
    "own classes": Concept("a class that holds state", ("*: class",)),
    "variables": Concept("values that are changed in place", ("*: tensorflow.Variable", "*: tensorflow.get_variable")),
    "initial weights": Concept(
        "from what they are drawn, and how far",
        ("Model: tensorflow.*random*", "Model: jax.nn.initializers.*", "Model: torch.nn.init.*"),
    ),
    "random keys": Concept("randomness handed on by the program", ("*: jax.random.key", "*: jax.random.split")),
    "loss of logits": Concept(
        "a loss that takes scores before softmax or sigmoid",
        ("Loss: from_logits=", "Loss: *cross_entropy*", "Loss: *.*_crossentropy", "Loss: jax.nn.log_*"),
    ),
    "loss of probabilities": Concept("one that takes what softmax made of the scores", ("Loss: '*_crossentropy'",)),
    "a ready optimizer": Concept(
        "one chosen by name and constants",
        ("Optimizer: keras.optim*", "Optimizer: torch.optim.*", "Optimizer: impls.shim.*", "*: *.train.*Optimizer"),
    ),
    "optimizer update": Concept(
        "the rule that changes a weight, written out",
        ("Optimizer: .assign*()", "Optimizer: torch._foreach_*", "Optimizer: [[]]=", "Optimizer: .add_()"),
    ),
    "optimizer state": Concept("what the rule remembers of each weight", ("Optimizer: *.zeros_like",)),
    "learning-rate schedule": Concept(
        "a rate that falls with the steps",
        ("*: *ExponentialDecay", "Optimizer: *.lr_scheduler.*", "Optimizer: *_decay", "Optimizer: DECAY*"),
    ),
    "gradient clipping": Concept(
        "gradients shortened to a norm",
        ("Optimizer: *clipnorm=", "Optimizer: *CLIP*", "Optimizer: *clip_*", "Training: *clip_*"),
    ),
    "gradient tape": Concept("recording what is to be differentiated", ("*: tensorflow.GradientTape",)),
    "backward pass": Concept("gradients left at the weights by the loss", ("*: .backward()",)),
    "clearing gradients": Concept("gradients add up until they are taken away", ("*: .zero_grad()",)),
    "gradients as graph nodes": Concept("derivatives asked of a graph", ("*: .compute_gradients()",)),
    "gradient function": Concept("a function made from a function", ("*: jax.value_and_grad", "*: jax.grad")),
    "no gradients": Concept(
        "code that is not to be differentiated", ("*: torch.no_grad", "*: torch.inference_mode", "*: .detach()")
    ),
    "tracing": Concept(
        "Python that runs once, to make a graph", ("*: tensorflow.function", "*: jax.jit", "*: torch.compile")
    ),
    "loops as functions": Concept("a loop inside the graph", ("*: jax.lax.scan",)),
    "graph and session": Concept("a graph built first and run later", ("*: tensorflow.placeholder", "*: .run()")),
    "donated buffers": Concept("arguments that are gone after a call", ("*: donate_argnums=",)),
    "two modes": Concept(
        "layers that compute differently in training", ("*: training=", "*: .train()", "*: .eval()")
    ),
    "loop": Concept("epochs and batches, written out", ("Training: for",)),
    "batching": Concept("cutting the examples into batches", ("Training: [[]:]", "Training: .split()")),
    "mean of ragged batches": Concept("the last batch weighs less", ("Training: numpy.average",)),
    "compile and fit": Concept("training asked for in one call", ("Training: .fit()",)),
    "tensors and arrays": Concept(
        "what has to be turned into what",
        ("*: tensorflow.constant", "*: torch.as_tensor", "*: jax.numpy.asarray", "*: .numpy()", "*: jax.device_get"),
    ),
    "types of numbers": Concept("which precision a value has", ("*: tensorflow.cast", "*: dtype=")),
    "devices": Concept("where a value is", ("*: device=", "*: .cpu()")),
    "image layout": Concept(
        "where the channels stand", ("*: .permute()", "*: memory_format=", "*: dimension_numbers=")
    ),
}  # fmt: skip


def shown(tree: ast.Module, source: str) -> dict[str, list[str]]:
    """The concepts that a program shows, and by what: `{"gradient tape": ["tensorflow.GradientTape"]}`."""
    found = sorted(set(evidence(tree, source)))
    by_concept = {}
    for name, concept in CONCEPTS.items():
        things = dict.fromkeys(piece.partition(": ")[2] for piece in found if _matches(piece, concept))
        if things:
            by_concept[name] = list(things)
    return by_concept


def _matches(piece: str, concept: Concept) -> bool:
    return any(fnmatchcase(piece, pattern) for pattern in concept.shown_by)


def evidence(tree: ast.Module, source: str) -> Iterator[str]:
    """Every piece of evidence that a program holds."""
    known = aliases(tree)
    for name, nodes in parts(source, tree):
        if name not in (MAIN, IMPORTS):
            found = [node for top in nodes for node in ast.walk(top)]
            inner = {id(node.value) for node in found if isinstance(node, ast.Attribute)}
            whole = [
                node for node in found if id(node) not in inner or isinstance(node, ast.Call)
            ]  # not the tf of tf.nn
            yield from (f"{name}: {thing}" for node in whole for thing in _things(node, known))


def _things(node: ast.AST, known: dict[str, str]) -> Iterator[str]:
    """What `node` alone is evidence of; `known` are the aliases."""
    match node:
        case ast.Name(id=name):
            yield known.get(name, name)
        case ast.Attribute() if (names := dotted(node)) and names[0] in known:
            yield ".".join((known[names[0]], *names[1:]))
        case ast.Call(func=ast.Attribute(attr=name) as method) if not set(dotted(method)[:1]) & known.keys():
            yield f".{name}()"
        case ast.keyword(arg=str(name)):
            yield f"{name}="
        case ast.Constant(value=str(text)):
            yield repr(text)
        case ast.Subscript(ctx=ast.Store()):
            yield "[]="
        case ast.Slice(lower=ast.expr(), upper=ast.expr()):
            yield "[:]"
        case ast.For() | ast.AsyncFor():
            yield "for"
        case ast.ClassDef():
            yield "class"
        case ast.MatMult():
            yield "@"
