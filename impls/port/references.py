"""What the frameworks' own layers, losses and optimizers compute, for tests of formulas that are written without them.

`python -m impls.port.references torch OUT.npz` (or keras). Names are `group/case/array`; images are (N, *spatial, C),
kernels in Keras's layout. All in float64.
"""

import itertools
import sys

import numpy as np

RNG = np.random.default_rng(0)
SIZES = {1: (9,), 2: (9, 8), 3: (5, 6, 4)}
LEARNERS = {"h/kernel": (6, 8), "h/bias": (8,), "n/gamma": (8,), "n/beta": (8,), "o/kernel": (8, 4), "o/bias": (4,)}
STEPS = 4


def torch_layers():
    """Convolutions, pools and resizes of 1, 2 and 3 spatial axes, recurrent layers, norms."""
    import torch
    import torch.nn.functional as F

    torch.set_default_dtype(torch.float64)
    found = {}

    def first(x):
        return torch.tensor(np.ascontiguousarray(np.moveaxis(x, -1, 1)))

    def last(y):
        return np.moveaxis(np.asarray(y), 1, -1)

    def kernel(k):
        return torch.tensor(np.ascontiguousarray(np.moveaxis(k, (-1, -2), (0, 1))))

    for rank, size in SIZES.items():
        conv = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
        back = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
        maxpool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[rank - 1]
        avgpool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[rank - 1]
        x, k = RNG.normal(size=(3, *size, 4)), RNG.normal(size=(*[3] * rank, 4, 6))
        grouped, up = RNG.normal(size=(*[3] * rank, 2, 6)), RNG.normal(size=(*[3] * rank, 5, 4))
        found.update({f"{rank}/x": x, f"{rank}/kernel": k, f"{rank}/grouped": grouped, f"{rank}/up": up})
        t = first(x)
        computed = {
            "pad 1": conv(t, kernel(k), None, 2, 1),
            "dilated": conv(t, kernel(k), None, 1, 2, 2),
            "flipped": conv(t, kernel(np.flip(k, tuple(range(rank)))), None, 2, 1),
            "groups": conv(t, kernel(grouped), None, 1, 1, 1, 2),
            "reflect": conv(F.pad(t, [1] * 2 * rank, mode="reflect"), kernel(k)),
            "transposed": back(t, kernel(up), None, 2, 1, 1),
            "maxpool ceil": maxpool(t, 3, 2, 1, ceil_mode=True),
            "maxpool zeros": maxpool(F.pad(-t.abs(), [1] * 2 * rank), 3, 2),
            "avgpool": avgpool(t, 3, 2, 1),
        }
        found.update((f"{rank}/{name}", last(y)) for name, y in computed.items())
    x = found["2/x"]
    modes = {"nearest": {}, "nearest-exact": {}, "bilinear": {}, "bicubic": {}}
    corners = {f"{mode} corners": {"mode": mode, "align_corners": True} for mode in ("bilinear", "bicubic")}
    smooth = {f"{mode} antialias": {"mode": mode, "antialias": True} for mode in ("bilinear", "bicubic")}
    plain = {mode: {"mode": mode} for mode in modes}
    for (name, options), out in itertools.product({**plain, **corners, **smooth}.items(), ((18, 16), (5, 6), (11, 13))):
        found[f"resize/{name}/{out[0]}x{out[1]}"] = last(F.interpolate(first(x), size=out, **options))
    return {f"layers/{name}": value for name, value in found.items()}


def torch_sequences():
    """A bidirectional LSTM: its sequence, its last step, its final states; weights in Keras's layout."""
    import torch

    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    layer = torch.nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    x = RNG.normal(size=(5, 6, 3))
    with torch.no_grad():
        sequence, (h, _) = layer(torch.tensor(x))
    found = {"x": x, "sequence": sequence.numpy(), "last step": sequence[:, -1].numpy()}
    found["final"] = torch.cat([h[0], h[1]], -1).numpy()
    for name, end in (("forward", ""), ("backward", "_reverse")):
        weights = {key: getattr(layer, f"{key}_l0{end}").detach().numpy() for key in ("weight_ih", "weight_hh")}
        biases = [getattr(layer, f"{key}_l0{end}").detach().numpy() for key in ("bias_ih", "bias_hh")]
        found.update({f"{name}/kernel": weights["weight_ih"].T, f"{name}/recurrent_kernel": weights["weight_hh"].T})
        found[f"{name}/bias"] = biases[0] + biases[1]
    return {f"sequences/{name}": value for name, value in found.items()}


def keras_layers():
    """SAME and VALID of convolutions, transposed ones and pools."""
    import keras

    keras.config.set_floatx("float64")
    found = {}
    for rank, size in SIZES.items():
        x = RNG.normal(size=(3, *size, 4))
        found[f"{rank}/x"] = x
        conv, up, pool = (getattr(keras.layers, f"{kind}{rank}D") for kind in ("Conv", "Conv", "AveragePooling"))
        up = getattr(keras.layers, f"Conv{rank}DTranspose")
        for stride in (1, 2, 3):
            layer = conv(6, 3, strides=stride, padding="same", use_bias=False)
            found[f"{rank}/conv same {stride}"] = np.asarray(layer(x))
            found[f"{rank}/conv same {stride}/kernel"] = np.asarray(layer.kernel)
        for padding, (window, stride) in itertools.product(("same", "valid"), ((3, 2), (4, 2), (2, 2), (2, 3), (5, 2))):
            layer = up(5, window, strides=stride, padding=padding, use_bias=False)
            name = f"{rank}/up {padding} {window} {stride}"
            found[name] = np.asarray(layer(x))
            found[f"{name}/kernel"] = np.asarray(layer.kernel)
        if rank < 3:
            found[f"{rank}/avgpool same"] = np.asarray(pool(3, 2, padding="same")(x))
    return {f"layers/{name}": value for name, value in found.items()}


def torch_losses():
    """Losses of the same outputs and labels, each with the gradient of a bias that is added to the outputs."""
    import torch
    import torch.nn.functional as F

    torch.set_default_dtype(torch.float64)
    z, y = torch.tensor(RNG.normal(size=(8, 5))), torch.tensor(RNG.integers(0, 5, 8))
    sequence, ids = torch.tensor(RNG.normal(size=(4, 6, 5))), torch.tensor(RNG.integers(0, 5, (4, 6)))
    spread, bits = torch.tensor(RNG.dirichlet(np.ones(5), 8)), torch.tensor(RNG.integers(0, 2, (8, 5)).astype(float))
    w = torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0])
    ce, bce = F.cross_entropy, F.binary_cross_entropy_with_logits

    def others(z, y):
        label = F.one_hot(y, 5)
        return -((label * 0.9 + (1 - label) * 0.1 / 4) * z.log_softmax(-1)).sum(-1).mean()

    def over_time(**options):
        return lambda z, y: ce(z.reshape(-1, 5), y.reshape(-1), **options)

    def focal(gamma, alpha):
        def loss(z, y):
            p = z.sigmoid()
            right = p * y + (1 - p) * (1 - y)
            share = alpha * y + (1 - alpha) * (1 - y)
            return (share * (1 - right) ** gamma * bce(z, y, reduction="none")).mean()

        return loss

    cases = {
        "mean": (ce, z, y),
        "sum": (lambda z, y: ce(z, y, reduction="sum"), z, y),
        "by classes": (lambda z, y: ce(z, y) / 5, z, y),
        "softmax twice": (lambda z, y: ce(z.softmax(-1), y), z, y),
        "smoothed": (lambda z, y: ce(z, y, label_smoothing=0.1), z, y),
        "smoothed over the others": (others, z, y),
        "weighted": (lambda z, y: ce(z, y, weight=w), z, y),
        "weighted by examples": (lambda z, y: ce(z, y, weight=w, reduction="none").mean(), z, y),
        "cubed": (lambda z, y: (ce(z, y, reduction="none") ** 3).mean(), z, y),
        "time": (over_time(), sequence, ids),
        "time ignored": (over_time(ignore_index=0), sequence, ids),
        "time ignored by all": (lambda z, y: over_time(ignore_index=0, reduction="sum")(z, y) / 24, sequence, ids),
        "divergence": (lambda z, y: F.kl_div(z.log_softmax(-1), y, reduction="sum") / 8, z, spread),
        "divergence by classes": (lambda z, y: F.kl_div(z.log_softmax(-1), y, reduction="sum") / 40, z, spread),
        "soft labels": (ce, z, spread),
        "squares": (F.mse_loss, z, spread),
        "half squares": (lambda z, y: F.mse_loss(z, y) / 2, z, spread),
        "summed squares": (lambda z, y: ((z - y) ** 2).sum(-1).mean(), z, spread),
        "huber": (F.huber_loss, z, spread),
        "minus cosine": (lambda z, y: -F.cosine_similarity(z, y).mean(), z, spread),
        "cosine": (lambda z, y: F.cosine_similarity(z, y).mean(), z, spread),
        "bits": (bce, z, bits),
        "bits twice": (lambda z, y: bce(z.sigmoid(), y), z, bits),
        "focal 2": (focal(2.0, 0.25), z, bits),
        "focal 1.5": (focal(1.5, 0.25), z, bits),
        "focal 2, 0.75": (focal(2.0, 0.75), z, bits),
    }
    found = {}
    for name, (loss, outputs, labels) in cases.items():
        bias = torch.zeros(5, requires_grad=True)
        value = loss(outputs + bias, labels)
        value.backward()
        arrays = {"z": outputs, "y": labels, "loss": value.detach(), "gradient": bias.grad}
        found.update((f"losses/{name}/{key}", array.numpy()) for key, array in arrays.items())
    return found


class Learner:
    """A small network in plain tensors, STEPS steps of an optimizer on one batch, and the gradients of each step."""

    def __init__(self):
        import torch

        torch.set_default_dtype(torch.float64)
        self.torch, rng = torch, np.random.default_rng(1)
        sizes = LEARNERS.items()
        self.start = {n: rng.uniform(0.3, 1, shape) * rng.choice([-1, 1], shape) for n, shape in sizes}
        self.x, self.y = torch.tensor(rng.normal(size=(12, 6))), torch.tensor(rng.integers(0, 4, 12))

    def loss(self, p):
        torch = self.torch
        h = torch.relu(self.x @ p["h/kernel"] + p["h/bias"])
        h = torch.nn.functional.layer_norm(h, (8,), p["n/gamma"], p["n/beta"])
        return torch.nn.functional.cross_entropy(h @ p["o/kernel"] + p["o/bias"], self.y)

    def run(self, make, step=None):
        p = {name: self.torch.tensor(array, requires_grad=True) for name, array in self.start.items()}
        optimizer, found = make(p), {}
        for n in range(STEPS):
            optimizer.zero_grad()
            self.loss(p).backward()
            found.update((f"slope{n}/{name}", t.grad.numpy().copy()) for name, t in p.items())
            step(optimizer, list(p.values()), n) if step else optimizer.step()
            found.update((f"after{n}/{name}", t.detach().numpy().copy()) for name, t in p.items())
        return found


def torch_optimizers():
    """torch.optim's rules, with groups, schedules, clips and accumulation as users write them."""
    import torch

    optim, learner = torch.optim, Learner()
    clip_norm, clip_value = torch.nn.utils.clip_grad_norm_, torch.nn.utils.clip_grad_value_

    def whole(rule, **options):
        return lambda p: rule(list(p.values()), **options)

    def groups(rule, test, other, **options):
        def make(p):
            chosen = [t for name, t in p.items() if test(name)]
            rest = [t for name, t in p.items() if not test(name)]
            return rule([{"params": chosen}, {"params": rest, **other}], **options)

        return make

    def decaying(early):
        def step(optimizer, tensors, n):
            optimizer.param_groups[0]["lr"] = 0.1 * 0.5 ** (n + early)
            optimizer.step()

        return step

    def warming(first):
        def step(optimizer, tensors, n):
            optimizer.param_groups[0]["lr"] = 0.1 * min(1, (n + first) / 3)
            optimizer.step()

        return step

    def clipping(clip):
        def step(optimizer, tensors, n):
            clip(tensors)
            optimizer.step()

        return step

    def each_norm(tensors):
        for tensor in tensors:
            clip_norm([tensor], 0.5)

    def without_slack(tensors):
        norm = torch.sqrt(sum((t.grad**2).sum() for t in tensors))
        for tensor in tensors:
            tensor.grad.mul_(min(1.0, float(0.5 / norm)))

    def every_second(optimizer, tensors, n):
        if n % 2:
            optimizer.step()

    kernels = lambda name: "kernel" in name  # noqa: E731
    first = lambda name: name[0] != "o"  # noqa: E731
    sgd, adam = whole(optim.SGD, lr=0.1), whole(optim.Adam, lr=0.01)
    cases = {
        "sgd": (sgd,),
        "sgd halving": (sgd, decaying(0)),
        "sgd halving a step early": (sgd, decaying(1)),
        "sgd warming": (sgd, warming(1)),
        "sgd warming from 0": (sgd, warming(0)),
        "sgd global norm": (sgd, clipping(lambda tensors: clip_norm(tensors, 0.5))),
        "sgd global norm exactly": (sgd, clipping(without_slack)),
        "sgd each norm": (sgd, clipping(each_norm)),
        "sgd value": (sgd, clipping(lambda tensors: clip_value(tensors, 0.1))),
        "sgd every second step": (sgd, every_second),
        "sgd, o slower": (groups(optim.SGD, first, {"lr": 0.01}, lr=0.1),),
        "sgd, o frozen": (groups(optim.SGD, first, {"lr": 0.0}, lr=0.1),),
        "nesterov": (whole(optim.SGD, lr=0.1, momentum=0.9, nesterov=True),),
        "heavy ball": (whole(optim.SGD, lr=0.1, momentum=0.9),),
        "adam": (adam,),
        "adam global norm": (adam, clipping(lambda tensors: clip_norm(tensors, 0.1))),
        "adam eps 1e-3": (whole(optim.Adam, lr=0.01, eps=1e-3),),
        "adam L2 0.1": (whole(optim.Adam, lr=0.01, weight_decay=0.1),),
        "adamw 0.1": (whole(optim.AdamW, lr=0.01, weight_decay=0.1),),
        "adamw 0.1 of kernels": (groups(optim.AdamW, kernels, {"weight_decay": 0.0}, lr=0.01, weight_decay=0.1),),
        "adamw 0.05, eps 1e-3": (whole(optim.AdamW, lr=0.01, weight_decay=0.05, eps=1e-3),),
        "rmsprop 0.9": (whole(optim.RMSprop, lr=0.01, alpha=0.9),),
        "rmsprop": (whole(optim.RMSprop, lr=0.01),),
        "adagrad": (whole(optim.Adagrad, lr=0.01),),
        "adagrad from 0.1": (whole(optim.Adagrad, lr=0.01, initial_accumulator_value=0.1),),
        "rprop": (whole(optim.Rprop, lr=0.01),),
    }
    found = {f"optimizers/start/{name}": array for name, array in learner.start.items()}
    for name, arguments in cases.items():
        found.update((f"optimizers/{name}/{key}", value) for key, value in learner.run(*arguments).items())
    return found


GROUPS = {
    "torch": (torch_layers, torch_sequences, torch_losses, torch_optimizers),
    "keras": (keras_layers,),
}


def main(framework, path):
    arrays = {}
    for group in GROUPS[framework]:
        arrays.update(group())
    np.savez(path, **{name.replace("/", "|"): array for name, array in arrays.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
