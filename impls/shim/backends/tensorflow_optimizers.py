"""Optimizers of TensorFlow in one kernel a weight: (optimizer, rates, rows), see `FUSED` of the NumPy backend."""

from __future__ import annotations

import functools

import tensorflow as tf

from impls.shim.backends.contract import Optimizer, Rates, Rows

_SPREAD = 1 << 15  # elements, from which on Adam's kernel wins; it spreads any weight over all threads, at 20 us each


def fused_adam(optimizer: Optimizer, rates: Rates, rows: Rows) -> Rows:
    """One kernel a large weight; the bias correction is in the rate, so its own is switched off by zero powers."""
    large = {name: row for name, row in rows.items() if row[0].shape.num_elements() > _SPREAD}
    for w, g, m, v in large.values():
        typed = functools.partial(tf.constant, dtype=g.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=w.handle, m=m.handle, v=v.handle, beta1_power=typed(0), beta2_power=typed(0), lr=rates[0],
            beta1=typed(optimizer.beta_1), beta2=typed(optimizer.beta_2), epsilon=typed(optimizer.epsilon), grad=g,
        )  # fmt: skip
    return {name: row for name, row in rows.items() if name not in large}


def fused_sgd(optimizer: Optimizer, rates: Rates, rows: Rows) -> None:
    for w, g, m in rows.values():
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=w.handle, accum=m.handle, lr=rates[0], grad=g, momentum=tf.constant(optimizer.momentum, g.dtype),
            use_nesterov=optimizer.nesterov,
        )  # fmt: skip
