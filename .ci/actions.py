"""Actions of a policy on made-up observations: write them, or compare them with a file."""

import argparse
import sys

import numpy as np
from dt_runtime import Policy

STEPS = 60  # three windows of the bundled policy


def actions(path: str) -> np.ndarray:
    policy, rng = Policy(path), np.random.default_rng(0)
    policy.reset(target_return=3000.0)
    size = policy.contract.state.shape
    made = [policy.act(rng.normal(size=size))]
    made += [policy.act(rng.normal(size=size), float(rng.normal())) for _ in range(STEPS - 1)]
    return np.stack(made)


parser = argparse.ArgumentParser()
parser.add_argument("artifact")
parser.add_argument("--write")
parser.add_argument("--compare")
flags = parser.parse_args()
found = actions(flags.artifact)
if flags.write:
    np.save(flags.write, found)
if flags.compare:
    apart = np.abs(found - np.load(flags.compare)).max()
    print(f"Python {sys.version.split()[0]}: {STEPS} actions, {apart:.1e} apart at most")
    sys.exit(int(not apart <= 1e-6))
