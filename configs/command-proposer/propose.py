"""A proposer of one's own: near the best point so far, or anywhere. Speaks docs/proposer-protocol.md."""
import json, math, random, sys


def value(p, rng, near):
    if p["type"] == "choice":
        return rng.choice(p["values"])
    scale = (math.log, math.exp) if p["scale"] == "log" else (float, float)
    low, high = scale[0](p["low"]), scale[0](p["high"])
    x = rng.uniform(low, high) if near is None else rng.gauss(scale[0](near), (high - low) / 10)
    x = min(max(scale[1](min(max(x, low), high)), p["low"]), p["high"])
    return x if p["type"] == "float" else p["low"] + round((x - p["low"]) / p["step"]) * p["step"]


def point(rng, near):
    params = {}
    for p in space:
        if all(params.get(name) in values for name, values in p.get("when", {}).items()):
            params[p["name"]] = value(p, rng, near.get(p["name"]))
    return params


best, loss = {}, math.inf
for line in sys.stdin:
    m = json.loads(line)
    if m["type"] == "hello":
        space, sign = m["space"], 1 if m["objective"]["direction"] == "minimize" else -1
    elif m["type"] == "tell" and m["score"] is not None and sign * m["score"] < loss:
        best, loss = m["params"], sign * m["score"]
    elif m["type"] == "ask":
        rng = random.Random(m["seed"])
        offers = [{"params": point(rng, best if rng.random() < 0.7 else {})} for _ in range(m["count"])]
        print(json.dumps({"type": "offers", "ask": m["ask"], "proposals": offers}), flush=True)
