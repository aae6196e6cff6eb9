"""A script with its settings at the top and its score on stdout, as many research scripts are. Nothing to link."""
import math
import os
import random

DEPTH = int(os.environ.get("DEPTH", "4"))
LEARNING_RATE = float(os.environ.get("LEARNING_RATE", "0.01"))
SEED = 1337

random.seed(SEED)
bits = 1.1 + 0.05 * math.log10(LEARNING_RATE / 0.004) ** 2 + 0.3 / DEPTH + 0.004 * DEPTH
print("training ...")
print(f"val_bpb:          {bits + random.gauss(0, 0.002):.6f}")
