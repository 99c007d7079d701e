"""AdamW (Loshchilov and Hutter 2019): the decay is taken from the weight before Adam's update, with Triptych's shim."""

from impls import shim

OPTIMIZER = shim.AdamW(learning_rate=0.001, weight_decay=0.004)
