"""Train a Decision Transformer with two discrete actions on CartPole-v1, in minutes on two cores.

    pip install "dt-export[gym]" transformers
    python samples/train_cartpole.py --output cartpole
    dt-export onnx --model cartpole --discrete -o cartpole.onnx

Nothing is downloaded. The program

1. searches for a linear policy that keeps the pole up for all 500 steps;
2. plays it upright, leaning and with random actions, so that returns spread from 10 to 500;
3. trains a Decision Transformer on those episodes: actions one-hot in, logits out;
4. asks it for several returns and measures what it achieves;
5. saves the checkpoint as transformers does, with a policy.json of what inference needs.

Copy it as a start for your own discrete environment: steps 3 to 5 know nothing of poles.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import gymnasium
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

# Where cores are shared, threads of torch that spin while they wait slow each other down tenfold.
# torch reads this when it is imported: below, in the functions that need it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if TYPE_CHECKING:
    import torch
    from transformers import DecisionTransformerModel

ENVIRONMENT = "CartPole-v1"
STATE, ACTIONS = 4, 2  # numbers in an observation; push left, push right
HORIZON = 500  # steps in a full episode, each with reward 1
CONTEXT = 10  # steps the transformer sees
SCALE = 100.0  # return-to-go is fed in hundreds
PACKAGES = ("torch", "transformers", "gymnasium")
Arrays = dict[str, np.ndarray]
console = Console()


@dataclass(frozen=True)
class Recipe:
    """Every number that shapes the result; two runs of one recipe do the same work."""

    seed: int = 0
    iterations: int = 8  # of the search
    candidates: int = 24  # linear policies an iteration tries
    elite: int = 6  # the best of them, which the next iteration starts from
    leans: int = 60  # ways to lean, from upright to the greatest
    greatest_lean: float = 0.35  # this much is a fall within about 15 steps
    randomness: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3)  # shares of actions left to chance
    repeats: int = 2  # episodes per lean and randomness
    updates: int = 3000
    batch_size: int = 64
    learning_rate: float = 1e-3
    targets: tuple[float, ...] = (500.0, 400.0, 300.0, 200.0, 100.0)
    episodes: int = 20  # per target, reset with seeds 0, 1, ...


QUICK = Recipe(iterations=2, candidates=8, leans=4, updates=30, batch_size=8, episodes=2)


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Train a Decision Transformer on CartPole-v1 from nothing but gymnasium.",
    )
    add = parser.add_argument
    add("--output", type=Path, metavar="DIR", help="checkpoint folder (default: cartpole)")
    add("--seed", type=int, default=Recipe.seed, help="default: %(default)s")
    add("--quick", action="store_true", help="tiny settings that only prove it runs (seconds)")
    flags = parser.parse_args()

    recipe = replace(QUICK if flags.quick else Recipe(), seed=flags.seed)
    # A proof that it runs must not replace a checkpoint that somebody trained.
    output = flags.output or Path("cartpole-quick" if flags.quick else "cartpole")
    # A polite kill stops as cleanly as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        make(recipe, output)
    except KeyboardInterrupt:
        console.print(f"Stopped; {output} is as it was before.", soft_wrap=True)
        return 130
    except (OSError, ValueError) as error:
        console.print(f"Error: {error}", style="red", soft_wrap=True)
        return 1
    return 0


def make(recipe: Recipe, output: Path) -> None:
    """Collect, train, evaluate, save."""
    output.mkdir(parents=True, exist_ok=True)  # what cannot be written should fail at once
    minutes: dict[str, float] = {}
    data = collect(recipe, search(recipe, minutes), minutes)
    mean, std = data["states"].mean(0, dtype=float), data["states"].std(0, dtype=float) + 1e-6
    model = train(recipe, data, mean, std, minutes)
    policy = {
        "discrete": True,
        "environment": ENVIRONMENT,
        "context_length": CONTEXT,
        "return_scale": SCALE,
        "target_returns": [500.0, 200.0],
        "state_mean": mean.tolist(),
        "state_std": std.tolist(),
        "training": {
            "recipe": "samples/train_cartpole.py",
            "seed": recipe.seed,
            "dataset": summary(data),
            "updates": recipe.updates,
            "batch_size": recipe.batch_size,
            "evaluation": evaluate(recipe, model, mean, std, minutes),
            "minutes": minutes,
            "versions": {name: version(name) for name in PACKAGES},
        },
    }
    save(model, policy, output)
    console.print(f"Saved {output} after {sum(minutes.values()):.1f} minutes.", soft_wrap=True)


# --- 1. A policy that balances ------------------------------------------------------------------


def search(recipe: Recipe, minutes: dict[str, float]) -> np.ndarray:
    """Find gains (4,) that push right where gains @ state > 0, and keep the pole up.

    The cross-entropy method with noise (Szita and Lorincz 2006): draw gains from a Gaussian, refit
    it to the best of them, widen it a little so that it does not collapse too early. Only their
    direction matters, so gains have length 1.
    """
    rng = np.random.default_rng(recipe.seed)
    mean, std = np.zeros(STATE), np.ones(STATE)
    with phase("search", recipe.iterations, minutes) as tick:
        for _ in range(recipe.iterations):
            tried = mean + std * rng.standard_normal((recipe.candidates, STATE))
            tried /= np.linalg.norm(tried, axis=1, keepdims=True)
            seeds = rng.integers(2**31, size=2).tolist()  # the same for all, to be fair
            episodes = [[play(gains, 0.0, 0.0, seed) for seed in seeds] for gains in tried]
            returns = np.array([np.mean([len(e["rewards"]) for e in two]) for two in episodes])
            elite = tried[np.argsort(-returns, kind="stable")[: recipe.elite]]
            mean, std = elite.mean(0), elite.std(0) + 0.02
            tick(f"mean return {returns.mean():.0f}")
    return mean / np.linalg.norm(mean)


# --- 2. Episodes --------------------------------------------------------------------------------


def play(gains: np.ndarray, lean: float, randomness: float, seed: int) -> Arrays:
    """Play one episode: push right where gains @ state + lean > 0, now and then at random.

    A lean moves the balance point aside, so that the cart rolls off its track: the further, the
    sooner. Arrays (T, 4), (T,), (T,) with T <= 500; actions are those taken.
    """
    rng = np.random.default_rng(seed)
    state, _ = world().reset(seed=seed)
    rows = []
    for _ in range(HORIZON):
        action = int(gains @ state + lean > 0.0)
        if rng.random() < randomness:
            action = int(rng.integers(ACTIONS))
        following, reward, fell, _, _ = world().step(action)
        rows.append((state, action, reward))
        state = following
        if fell:
            break
    states, actions, rewards = zip(*rows, strict=True)
    return {
        "states": np.array(states, np.float32),
        "actions": np.array(actions),
        "rewards": np.array(rewards),
    }
