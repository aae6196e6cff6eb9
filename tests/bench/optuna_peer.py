#!/usr/bin/python3
"""The peer: Optuna with the space and the objective of bench_study.h. CPU time of this process alone, imports left out.

  optuna_peer.py random DATABASE TRIALS    random search over SQLite storage; adds TRIALS to the study in DATABASE
  optuna_peer.py tpe KNOWN ASKS            TPE in memory, its fastest storage: asks after KNOWN finished trials
"""
import json
import sys
import time

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

SPACE = {
    "learning_rate": FloatDistribution(1e-5, 1e-1, log=True),
    "weight_decay": FloatDistribution(1e-6, 1, log=True),
    "dropout": FloatDistribution(0, 0.5),
    "depth": IntDistribution(1, 24),
    "width": IntDistribution(16, 4096, log=True),
    "optimizer": CategoricalDistribution(["adamw", "lion", "muon", "sgd"]),
}


def objective(trial):
    trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True)
    trial.suggest_float("weight_decay", 1e-6, 1, log=True)
    dropout = trial.suggest_float("dropout", 0, 0.5)
    trial.suggest_int("depth", 1, 24)
    trial.suggest_int("width", 16, 4096, log=True)
    trial.suggest_categorical("optimizer", ["adamw", "lion", "muon", "sgd"])
    return (dropout - 0.2) ** 2


def tell(figure, measured, unit):
    print(json.dumps({"figure": figure, "measured": measured, "unit": unit, "target": ""}), flush=True)


def random_search(database, trials):
    study = optuna.create_study(
        study_name="bench", storage=f"sqlite:///{database}", load_if_exists=True, sampler=optuna.samplers.RandomSampler()
    )
    before = time.process_time()
    study.optimize(objective, n_trials=trials)
    tell(f"optuna {optuna.__version__} random, CPU per trial", (time.process_time() - before) * 1000 / trials, "ms")


def tpe(known, asks):
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=7))
    sampler = optuna.samplers.RandomSampler(seed=7)
    for _ in range(known):
        params = {name: sampler.sample_independent(study, None, name, d) for name, d in SPACE.items()}
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=SPACE, value=(params["dropout"] - 0.2) ** 2)
        )
    before = time.process_time()
    for _ in range(asks):
        trial = study.ask()
        study.tell(trial, objective(trial))
    tell(f"optuna {optuna.__version__} TPE at {known} trials, CPU per proposal",
         (time.process_time() - before) * 1000 / asks, "ms")


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if sys.argv[1] == "random":
        random_search(sys.argv[2], int(sys.argv[3]))
    else:
        tpe(int(sys.argv[2]), int(sys.argv[3]))
