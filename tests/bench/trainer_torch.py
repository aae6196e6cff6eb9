#!/usr/bin/python3
"""The trainer's peer: the same model, batch and optimizer in plain PyTorch. Prints one line of JSON.

  trainer_torch.py THREADS SECONDS [FOLDER]     FOLDER: texts to train on; without it random bytes (the speed is the same)
"""
import json
import math
import resource
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional

DEPTH, WIDTH, HEADS, CONTEXT, BATCH, VOCABULARY, START = 4, 128, 4, 128, 8, 257, 256
HEAD = WIDTH // HEADS


def norm(x):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def turn(x, cosines, sines):
    a, b = x[..., : HEAD // 2], x[..., HEAD // 2 :]
    return torch.cat((a * cosines - b * sines, a * sines + b * cosines), -1)


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        reach = math.sqrt(3 / WIDTH)
        self.qkv = torch.nn.Parameter(torch.empty(3 * WIDTH, WIDTH).uniform_(-reach, reach))
        self.out = torch.nn.Parameter(torch.zeros(WIDTH, WIDTH))
        self.up = torch.nn.Parameter(torch.empty(4 * WIDTH, WIDTH).uniform_(-reach, reach))
        self.down = torch.nn.Parameter(torch.zeros(WIDTH, 4 * WIDTH))

    def forward(self, x, cosines, sines, mask):
        q, k, v = functional.linear(norm(x), self.qkv).view(BATCH, CONTEXT, 3, HEADS, HEAD).permute(2, 0, 3, 1, 4)
        q, k = turn(norm(q), cosines, sines), turn(norm(k), cosines, sines)
        weights = torch.softmax((q @ k.transpose(-1, -2)) / math.sqrt(HEAD) + mask, -1)
        x = x + functional.linear((weights @ v).transpose(1, 2).reshape(BATCH, CONTEXT, WIDTH), self.out)
        return x + functional.linear(functional.relu(functional.linear(norm(x), self.up)).square(), self.down)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Parameter(torch.randn(VOCABULARY, WIDTH))
        self.layers = torch.nn.ModuleList(Layer() for _ in range(DEPTH))
        self.head = torch.nn.Parameter(0.001 * torch.randn(VOCABULARY, WIDTH))
        angles = torch.arange(CONTEXT)[:, None] * 10000.0 ** (-torch.arange(HEAD // 2) / (HEAD // 2))
        self.cosines, self.sines = angles.cos(), angles.sin()
        self.mask = torch.full((CONTEXT, CONTEXT), float("-inf")).triu(1)

    def forward(self, inputs, targets):
        x = norm(functional.embedding(inputs, self.embedding))
        for layer in self.layers:
            x = layer(x, self.cosines, self.sines, self.mask)
        logits = functional.linear(norm(x), self.head)
        return functional.cross_entropy(logits.view(-1, VOCABULARY), targets.reshape(-1), ignore_index=-1)


def tokens_of(folder):
    if folder is None:
        return torch.randint(0, 256, (1 << 20,))
    parts = [torch.cat((torch.tensor([START]), torch.tensor(list(path.read_bytes()))))
             for path in sorted(Path(folder).glob("*.txt"))]
    return torch.cat(parts)


def main():
    threads, seconds = int(sys.argv[1]), float(sys.argv[2])
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    stream = tokens_of(sys.argv[3] if len(sys.argv) > 3 else None)
    model = Model()
    matrices = [parameter for layer in model.layers for parameter in layer.parameters()]
    outer = [model.embedding, model.head]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.02}, {"params": outer, "weight_decay": 0.0}],
                                  lr=4e-3, betas=(0.9, 0.95), foreach=True)

    def step():
        starts = torch.randint(0, len(stream) - CONTEXT - 1, (BATCH,))
        rows = torch.stack([stream[at : at + CONTEXT + 1] for at in starts])
        targets = rows[:, 1:]
        loss = model(rows[:, :-1], torch.where(targets == START, -1, targets))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    for _ in range(5):
        step()
    before, began, steps = resource.getrusage(resource.RUSAGE_SELF), time.monotonic(), 0
    while time.monotonic() - began < seconds:
        loss = step()
        steps += 1
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    tokens = steps * BATCH * CONTEXT
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"parameters": sum(p.numel() for p in model.parameters()), "threads": threads, "steps": steps,
                      "tokens_per_second": tokens / wall, "tokens_per_cpu_second": tokens / cpu, "loss": loss}))


if __name__ == "__main__":
    main()
