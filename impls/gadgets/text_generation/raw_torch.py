"""Text generated greedily with a key-value cache, in PyTorch."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

# Model


class PositionEmbedding(nn.Module):
    def __init__(self, steps, width):
        super().__init__()
        self.embeddings = nn.Parameter(0.02 * torch.randn(steps, width))

    def forward(self, x, start=0):
        return x + self.embeddings[start : start + x.shape[1]]


class CausalSelfAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width, bias=False)

    def forward(self, x, cache=None):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, heads, T, units) each
        first = not cache  # after it queries come one by one, and may look at every key
        if not first:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache.update(k=k, v=v)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=first)
        return self.proj(mixed.transpose(1, 2).flatten(2))  # (B, T, D)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=1e-3)
        self.attention = CausalSelfAttention(width, heads)
        self.mlp_norm = nn.LayerNorm(width, eps=1e-3)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x, cache=None):
        x = x + self.attention(self.attention_norm(x), cache)
        return x + self.mlp(self.mlp_norm(x))


class GPT(nn.Module):
    def __init__(self, vocabulary, steps, width, heads, blocks):
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        self.position = PositionEmbedding(steps, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width, eps=1e-3)
        nn.init.normal_(self.token.weight, std=0.02)

    def forward(self, ids, caches=None, start=0):
        x = self.position(self.token(ids), start)  # (B, T) -> (B, T, D)
        for block, cache in zip(self.blocks, caches or [None] * len(self.blocks), strict=True):
            x = block(x, cache)
        return F.linear(self.norm(x), self.token.weight)  # (B, T, vocabulary): the head is the table of the tokens


def build(vocabulary=97, steps=32, width=64, heads=4, blocks=2):
    return GPT(vocabulary, steps, width, heads, blocks)


# Loss


def loss_fn(logits, y):
    return F.cross_entropy(logits.flatten(0, 1), y.flatten())  # (B * T, V), (B * T,)


# Optimizer

FIRST_RATE, RATE, LAST_RATE, WARMUP, DECAY_STEPS = 3e-4, 3e-3, 3e-4, 10, 470
BETA_1, BETA_2, EPSILON, WEIGHT_DECAY, GLOBAL_CLIPNORM = 0.9, 0.99, 1e-7, 0.1, 1.0


def learning_rate(step):
    if step < WARMUP:
        return FIRST_RATE + (RATE - FIRST_RATE) * step / WARMUP
    done = min((step - WARMUP) / DECAY_STEPS, 1)
    return LAST_RATE + (RATE - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * done))


class AdamW:
    def __init__(self, parameters):
        self.parameters = list(parameters)
        self.decayed = [p for p in self.parameters if p.ndim > 1]  # matrices, and neither biases nor norms
        self.m = [torch.zeros_like(p) for p in self.parameters]
        self.v = [torch.zeros_like(p) for p in self.parameters]
        self.t = 0

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def step(self):
        rate = learning_rate(self.t)
        self.t += 1
        gradients = [p.grad for p in self.parameters]
        norm = nn.utils.get_total_norm(gradients, foreach=True)
        torch._foreach_mul_(gradients, GLOBAL_CLIPNORM / norm.clamp(min=GLOBAL_CLIPNORM))
        torch._foreach_mul_(self.decayed, 1 - rate * WEIGHT_DECAY)
        torch._foreach_lerp_(self.m, gradients, 1 - BETA_1)
        torch._foreach_mul_(self.v, BETA_2)
        torch._foreach_addcmul_(self.v, gradients, gradients, 1 - BETA_2)
        alpha = rate * math.sqrt(1 - BETA_2**self.t) / (1 - BETA_1**self.t)
        denominators = torch._foreach_sqrt(self.v)
        torch._foreach_add_(denominators, EPSILON)
        torch._foreach_addcdiv_(self.parameters, self.m, denominators, -alpha)


def make_optimizer(model):
    return AdamW(model.parameters())


# Training


def train_step(model, optimizer, x, y):
    loss = loss_fn(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def train(model, x, y, epochs=3, batch_size=32):
    device = next(model.parameters()).device
    xs, ys = (torch.as_tensor(array, device=device).split(batch_size) for array in (x, y))
    batches = list(zip(xs, ys, strict=True))
    optimizer = make_optimizer(model)
    model.train()
    history = []
    for _ in range(epochs):
        losses = [train_step(model, optimizer, *batch) for batch in batches]
        history.append(float(np.average(torch.stack(losses).cpu(), weights=[len(x) for x in xs])))
    return history


# Prediction


@torch.inference_mode()
def predict(model, x):
    model.eval()
    device = next(model.parameters()).device
    return model(torch.as_tensor(x, device=device)).cpu().numpy()


@torch.inference_mode()
def generate(model, prompts, count):
    model.eval()
    tokens = new = torch.as_tensor(prompts)
    caches, start, logits = [{} for _ in model.blocks], 0, []
    for _ in range(count):
        logits.append(model(new, caches, start)[:, -1])  # (B, vocabulary)
        start = tokens.shape[1]
        new = logits[-1].argmax(-1, keepdim=True)
        tokens = torch.cat([tokens, new], 1)
    return {"tokens": tokens.numpy(), "logits": torch.stack(logits, 1).numpy()}


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["python_docs_32"]()
    model = build()
    print("losses", train(model, data.x, data.y))
    text = generate(model, data.x_test[:3, :8], 24)["tokens"]
    alphabet = np.array([*map(chr, range(32, 127)), "\n", "?"])
    print("\n---\n".join("".join(alphabet[ids]) for ids in text))
