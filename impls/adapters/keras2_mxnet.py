"""The adapter of the Keras 2 programs on MXNet: its own module is asked for gradients and its updater for slots.

Under MXNet a Keras model is a module that is bound to the first batch, its optimizer is MXNet's, and there is neither
`K.function` nor `K.gradients`. Training-mode outputs of layers can't be had. Valid on Python 3.6.
"""

from collections import OrderedDict
from typing import Any, Dict, List, Tuple

import mxnet as mx
import numpy as np
from keras.backend import mxnet_backend
from keras.models import Model

from impls.adapters import Arrays
from impls.adapters.keras2 import SLOTS, Symbolic


class Bound(Symbolic):
    """Serves `keras2` on MXNet."""

    def _prepare(self) -> None:
        self.model._make_train_function()
        # Slots and the count of updates that wait for the module to be bound:
        self.start = None  # type: Any

    def _bound(self, x: np.ndarray, y: np.ndarray) -> Any:
        """A batch of the module's, which is bound to its shape and has its slots."""
        inputs = [x, y, np.ones(len(x), self.dtype)]
        data, label, _, data_shapes, label_shapes = self.model._adjust_module(inputs, "train")
        if self.start is not None:
            self._fill(*self.start)
            self.start = None
        return mx.io.DataBatch(
            data=data, label=label, bucket_key="train", provide_data=data_shapes, provide_label=label_shapes
        )

    def _places(self) -> Dict[str, Tuple[int, Any]]:
        """Index in the updater and array of each weight, by its canonical name."""
        group = self.model._module._curr_module._exec_group
        names = {weight.name: name for name, weight in zip(self.trainable, self.model.trainable_weights)}
        return {
            names[name]: (index, group.param_arrays[index][0])
            for index, name in enumerate(group.param_names)
            if name in names
        }

    def _fill(self, slots: Arrays, step: int) -> None:
        """Put slots into the updater, as after `step` updates; those that are not given are zero."""
        optimizer, updater = self.model.optimizer, self.model._module._curr_module._updater
        for name, (index, weight) in self._places().items():
            state = optimizer.create_state_multi_precision(index, weight)
            for kind, array in zip(SLOTS[self.spec.optimizer["name"]], _arrays(state)):
                if slots:
                    array[:] = slots[kind + "/" + name]
            updater.states[index], updater.states_synced[index] = state, True
            optimizer._index_update_count[index] = step
        optimizer.num_update = step

    def slots(self) -> Arrays:
        kinds = SLOTS[self.spec.optimizer["name"]]
        states = self.model._module._curr_module._updater.states
        places = self._places()
        found = {}
        for position, kind in enumerate(kinds):
            for name, (index, _) in places.items():
                arrays = _arrays(states[index])
                if position < len(arrays):
                    found[kind + "/" + name] = arrays[position].asnumpy()
        return found

    def _at(self, step: int) -> None:
        if self.decay is not None:
            self.decay.step = step

    def restore(self, weights: Arrays, slots: Arrays, step: int) -> None:
        self._put(weights)
        self.start = (slots, step)
        self._at(step)

    def _restart(self, **arguments: Any) -> None:
        self.start = ({}, 0)
        self._at(0)

    def forward(self, x: np.ndarray, training: bool) -> "OrderedDict[str, np.ndarray]":
        if training:
            raise NotImplementedError("keras-mxnet has no way to show what a layer computes in training mode")
        names, outputs = self._outputs()
        self.model.get_weights()  # from the module back into the variables, which the other model shares
        found = Model(self.model.inputs, outputs).predict_on_batch(x)
        mxnet_backend.set_model(self.model)
        return OrderedDict(zip(names, found if isinstance(found, list) else [found]))

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Arrays:
        module, batch = self.model._module, self._bound(x, self._targets(y))
        module.forward_backward(batch)
        (executor,) = module._curr_module._exec_group.execs
        found = {"loss": module.get_outputs()[0].asnumpy().mean()}
        for name, weight in zip(self.trainable, self.model.trainable_weights):
            found["gradient/" + name] = executor.grad_dict[weight.name].asnumpy()
        return found

    def step(self, x: Any, y: Any) -> Any:
        if self.start is not None:
            self._bound(x, y)
        return Symbolic.step(self, x, y)

    def fit(self, x: np.ndarray, y: np.ndarray, epochs: int, batch_size: int) -> List[float]:
        self._bound(x[:batch_size], self._targets(y[:batch_size]))
        return Symbolic.fit(self, x, y, epochs, batch_size)


def _arrays(state: Any) -> List[Any]:
    """The arrays of an optimizer's state, which may be one, several or none."""
    return [] if state is None else list(state) if isinstance(state, (list, tuple)) else [state]
