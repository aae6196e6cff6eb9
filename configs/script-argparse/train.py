"""A training script that knows nothing of overnight: flags in, a line "loss ..." out. A synthetic landscape, in no time."""
import argparse
import math
import random

parser = argparse.ArgumentParser()
parser.add_argument("--learning_rate", type=float, required=True)
parser.add_argument("--momentum", type=float, required=True)
parser.add_argument("--optimizer", choices=["sgd", "adam"], required=True)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

noise = random.Random(args.seed)
best_rate = 0.003 if args.optimizer == "adam" else 0.1 * (1 - args.momentum)
off = math.log10(args.learning_rate / best_rate)
if off > 1.5:
    raise SystemExit("diverged")
loss = 0.3 + 0.2 * off * off + 0.1 * (args.momentum - 0.9) ** 2 + (0.0 if args.optimizer == "adam" else 0.05)
print(f"loss {loss + noise.gauss(0, 0.003):.5f}")
