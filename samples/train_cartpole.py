"""Train a Decision Transformer with two discrete actions on CartPole-v1, in minutes on two cores.

    pip install "dt-export[gym]" transformers
    python samples/train_cartpole.py --output cartpole
    dt-export onnx --model cartpole --discrete -o cartpole.onnx

Nothing is downloaded. The program

1. searches for a linear policy that keeps the pole up for all 500 steps;
2. plays it upright, leaning and with random actions, so that returns spread from 10 to 500;
3. trains a Decision Transformer on those episodes: actions one-hot in, logits out;
4. asks it for several target returns and measures what it achieves;
5. saves the checkpoint in transformers' format, with the facts for inference in policy.json.

Copy it for your own discrete environment: from step 3 on, nothing is specific to CartPole.
"""

import argparse
import json
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

if TYPE_CHECKING:  # imported below where needed, so that --help and Ctrl-C answer at once
    import torch
    from transformers import DecisionTransformerModel

ENVIRONMENT = "CartPole-v1"
STATE, ACTIONS = 4, 2  # numbers in an observation; push left, push right
HORIZON = 500  # steps in a full episode, each with reward 1
CONTEXT = 10  # steps the transformer sees
SCALE = 100.0  # return-to-go is fed in hundreds
PACKAGES = ("torch", "transformers", "gymnasium")
FILES = ("model.safetensors", "config.json", "policy.json")  # of a checkpoint
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
    noises: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3)  # shares of actions left to chance
    repeats: int = 2  # episodes per lean and noise
    updates: int = 2000
    batch_size: int = 64
    learning_rate: float = 1e-3
    targets: tuple[float, ...] = (500.0, 400.0, 300.0, 200.0, 100.0)
    episodes: int = 20  # per target, reset with seeds 0, 1, ...


QUICK = Recipe(iterations=2, candidates=8, leans=4, updates=30, batch_size=8, episodes=2)


def main() -> int:
    parser = argparse.ArgumentParser(description="Train a Decision Transformer on CartPole-v1.")
    add = parser.add_argument
    add("--output", type=Path, metavar="DIR", help="checkpoint folder (default: cartpole)")
    add("--force", action="store_true", help="replace a checkpoint in --output")
    add("--seed", type=int, default=Recipe.seed, help="default: %(default)s")
    add("--quick", action="store_true", help="tiny settings that only prove it runs (seconds)")
    flags = parser.parse_args()

    recipe = replace(QUICK if flags.quick else Recipe(), seed=flags.seed)
    # A proof that it runs must not replace a checkpoint that somebody trained.
    output = flags.output or Path("cartpole-quick" if flags.quick else "cartpole")
    present = [name for name in FILES if (output / name).exists()]
    if present and not flags.force:
        message = f"{output} holds {', '.join(present)}: choose another --output or pass --force"
        console.print(f"Error: {message}", style="red", soft_wrap=True)
        return 1
    try:
        make(recipe, output)
    except KeyboardInterrupt:
        console.print("Stopped; nothing was saved.")
        return 130
    except OSError as error:
        console.print(f"Error: {error}", style="red", soft_wrap=True)
        return 1
    return 0


def make(recipe: Recipe, output: Path) -> None:
    """Collect, train, evaluate, save."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # for the bar of saving, which takes no time
    output.mkdir(parents=True, exist_ok=True)  # if it cannot be written, fail now
    minutes: dict[str, float] = {}
    data = collect(recipe, search(recipe, minutes), minutes)
    returns = data["returns"][data["timesteps"] == 0]
    dataset = {"episodes": len(returns), "transitions": len(data["returns"])}
    for name in ("min", "mean", "max"):
        dataset[f"return_{name}"] = round(float(getattr(returns, name)()), 1)
    facts = ", ".join(f"{key} {value:,.0f}" for key, value in dataset.items())
    console.print(f"Dataset: {facts}", soft_wrap=True)
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
            "dataset": dataset,
            "updates": recipe.updates,
            "batch_size": recipe.batch_size,
            "evaluation": evaluate(recipe, model, mean, std, minutes),
            "minutes": minutes,
            "versions": {name: version(name) for name in PACKAGES},
        },
    }
    save(model, policy, output)
    console.print(f"Saved {output} after {sum(minutes.values()):.1f} minutes.", soft_wrap=True)


def search(recipe: Recipe, minutes: dict[str, float]) -> np.ndarray:
    """Find gains (4,) that push right where gains @ state > 0, and keep the pole up.

    The cross-entropy method with noise (Szita and Lorincz 2006): draw gains from a Gaussian, refit
    it to the best of them, widen it a little so that it does not collapse too early. Only their
    direction matters, so gains have length 1.
    """
    rng, env = np.random.default_rng(recipe.seed), gymnasium.make(ENVIRONMENT)
    mean, std = np.zeros(STATE), np.ones(STATE)
    with phase("search", recipe.iterations, minutes) as tick:
        for _ in range(recipe.iterations):
            tried = mean + std * rng.standard_normal((recipe.candidates, STATE))
            tried /= np.linalg.norm(tried, axis=1, keepdims=True)
            seeds = rng.integers(2**31, size=2).tolist()  # the same for all, to be fair
            returns = np.zeros(recipe.candidates)
            for number, seed in product(range(recipe.candidates), seeds):
                returns[number] += play(env, tried[number], 0.0, 0.0, seed)["rewards"].sum() / 2
            elite = tried[np.argsort(-returns, kind="stable")[: recipe.elite]]
            mean, std = elite.mean(0), elite.std(0) + 0.02
            tick(f"mean return {returns.mean():.0f}")
    return mean / np.linalg.norm(mean)


def play(env: gymnasium.Env, gains: np.ndarray, lean: float, noise: float, seed: int) -> Arrays:
    """Play one episode: push right where gains @ state + lean > 0, a share of noise at random.

    A lean moves the balance point aside, so that the cart rolls off its track: the further, the
    sooner. Arrays (T, 4), (T,) and (T,) with T <= 500; the actions are those that were taken.
    """
    rng = np.random.default_rng(seed)
    state, _ = env.reset(seed=seed)
    rows, terminated, truncated = [], False, False
    while not (terminated or truncated):
        action = int(gains @ state + lean > 0.0)
        if rng.random() < noise:
            action = int(rng.integers(ACTIONS))
        following, reward, terminated, truncated, _ = env.step(action)
        rows.append((state, action, reward))
        state = following
    states, actions, rewards = (np.array(column) for column in zip(*rows, strict=True))
    return {"states": states, "actions": actions, "rewards": rewards}


def collect(recipe: Recipe, gains: np.ndarray, minutes: dict[str, float]) -> Arrays:
    """Play every lean with every noise.

    Returns the episodes end to end, N steps in all: states (N, 4), one-hot actions (N, 2),
    returns_to_go (N,) raw, timesteps (N,) from 0, and the returns (N,) of the steps' episodes.
    """
    env = gymnasium.make(ENVIRONMENT)
    first = 10_000 * (recipe.seed + 1)  # seeds of evaluation, 0 to 19, stay unseen
    leans = np.linspace(0.0, recipe.greatest_lean, recipe.leans)
    cases = list(product(leans, recipe.noises, range(recipe.repeats)))
    columns: dict[str, list[np.ndarray]] = {}
    with phase("episodes", len(cases), minutes) as tick:
        for number, (lean, noise, _) in enumerate(cases):
            episode = play(env, gains, lean, noise, first + number)
            to_go = np.cumsum(episode["rewards"][::-1])[::-1]
            episode["actions"] = np.eye(ACTIONS, dtype=np.float32)[episode["actions"]]
            episode["timesteps"] = np.arange(len(to_go))
            episode |= {"returns_to_go": to_go, "returns": np.full(len(to_go), to_go[0])}
            for name, array in episode.items():
                columns.setdefault(name, []).append(array)
            tick(f"return {to_go[0]:.0f}")
    return {name: np.concatenate(arrays) for name, arrays in columns.items()}


def train(
    recipe: Recipe, data: Arrays, mean: np.ndarray, std: np.ndarray, minutes: dict[str, float]
) -> "DecisionTransformerModel":
    """Train to predict actions from (return-to-go, state, action) windows.

    As in Chen et al. 2021, section 3: cross-entropy on every action of windows of 10 steps. A
    window ends at a drawn step; where its episode is younger than that, it is padded on the left.
    """
    import torch
    from transformers import DecisionTransformerConfig, DecisionTransformerModel

    # Every 50 of return weigh the same, and so does every episode among them, short or long.
    starts = data["timesteps"] == 0
    lengths = np.bincount(starts.cumsum() - 1)  # of episodes, (n,)
    bins = (data["returns"][starts] // 50).astype(int)
    bins -= bins.min()
    weights = np.repeat(1.0 / (np.bincount(bins)[bins] * lengths), lengths)
    rng = np.random.default_rng(recipe.seed)
    size = (recipe.updates, recipe.batch_size)
    drawn = rng.choice(len(weights), size, p=weights / weights.sum())
    inputs = {
        "states": ((data["states"] - mean) / std).astype(np.float32),
        "actions": data["actions"],
        "returns_to_go": (data["returns_to_go"] / SCALE).astype(np.float32)[:, None],
        "timesteps": data["timesteps"],
    }

    torch.manual_seed(recipe.seed)
    torch.set_num_threads(1)  # a model this small loses more to handing work out than it gains
    config = DecisionTransformerConfig(
        state_dim=STATE, act_dim=ACTIONS, hidden_size=64, n_layer=2, n_head=2,
        activation_function="relu", max_ep_len=HORIZON, n_positions=64,
        action_tanh=False,  # the head's output are logits, which tanh would flatten
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    model = DecisionTransformerModel(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), recipe.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, recipe.updates, pct_start=0.1
    )
    average = float(np.log(ACTIONS))  # the loss of a guess
    with phase("training", recipe.updates, minutes) as tick:
        for last in drawn:
            index = last[:, None] + np.arange(1 - CONTEXT, 1)  # (batch, K)
            real = index >= (last - data["timesteps"][last])[:, None]
            # Padding takes what lies nearby: the mask keeps attention and loss from seeing it.
            window = {name: array[index.clip(0)] for name, array in inputs.items()}
            logits = predict(model, window, real)
            chosen = torch.from_numpy(window["actions"][real].argmax(1))
            loss = torch.nn.functional.cross_entropy(logits[torch.from_numpy(real)], chosen)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            optimizer.step()
            schedule.step()
            average += 0.02 * (loss.item() - average)
            tick(f"loss {average:.4f}")
    return model


def predict(model: "DecisionTransformerModel", window: Arrays, real: np.ndarray) -> "torch.Tensor":
    """Logits (batch, K, 2) for a window of (batch, K, ...) arrays; real (batch, K) is its mask.

    Each is predicted from what came before it, so the last action given is never looked at.
    """
    import torch

    tensors = {name: torch.from_numpy(array) for name, array in window.items()}
    mask = torch.from_numpy(real.astype(np.int64))
    return model(**tensors, attention_mask=mask).action_preds


def evaluate(
    recipe: Recipe, model: "DecisionTransformerModel", mean: np.ndarray, std: np.ndarray,
    minutes: dict[str, float],
) -> list[dict]:  # fmt: skip
    """Ask for every target over seeds 0, 1, ...; prints a table, returns its rows.

    All episodes advance together, one batched prediction per step, and take the likeliest action.
    The return-to-go starts at the target and falls by each reward (Chen et al. 2021, Algorithm 1).
    """
    model.eval().requires_grad_(False)
    asked = np.repeat(recipe.targets, recipe.episodes)
    size = len(asked)
    envs = [gymnasium.make(ENVIRONMENT) for _ in range(size)]
    current = np.stack([env.reset(seed=i % recipe.episodes)[0] for i, env in enumerate(envs)])
    history = {
        "states": np.zeros((size, HORIZON, STATE), np.float32),
        "actions": np.zeros((size, HORIZON, ACTIONS), np.float32),
        "returns_to_go": np.zeros((size, HORIZON, 1), np.float32),
        "timesteps": np.tile(np.arange(HORIZON), (size, 1)),
    }
    achieved, ended, alive = np.zeros(size), np.zeros(size, bool), np.arange(size)
    with phase("evaluation", HORIZON, minutes) as tick:
        for step in range(HORIZON):
            history["states"][alive, step] = (current[alive] - mean) / std
            history["returns_to_go"][alive, step, 0] = (asked - achieved)[alive] / SCALE
            index = np.ix_(alive, np.arange(max(0, step + 1 - CONTEXT), step + 1))
            window = {name: array[index] for name, array in history.items()}
            logits = predict(model, window, np.ones(window["timesteps"].shape, bool))
            actions = logits[:, -1].argmax(1).tolist()
            history["actions"][alive, step, actions] = 1.0
            for i, action in zip(alive, actions, strict=True):
                current[i], reward, terminated, truncated, _ = envs[i].step(action)
                achieved[i] += float(reward)
                ended[i] = terminated or truncated
            alive = alive[~ended[alive]]
            tick(f"{len(alive)} of {size} still balance")
            if not len(alive):
                break
    table, rows = Table("target", "achieved", "std", title=f"{ENVIRONMENT} returns"), []
    for target, found in zip(recipe.targets, achieved.reshape(-1, recipe.episodes), strict=True):
        row = {"target": target, "mean": float(found.mean()), "std": float(found.std())}
        table.add_row(*(f"{number:.0f}" for number in row.values()))
        rows.append(row | {"episodes": recipe.episodes})
    console.print(table)
    return rows


def save(model: "DecisionTransformerModel", policy: dict, output: Path) -> None:
    """Write config.json, model.safetensors and policy.json, each complete or not at all."""
    part = output / ".part"
    part.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(part)
    (part / "policy.json").write_text(json.dumps(policy, indent=2, sort_keys=True) + "\n")
    for name in FILES:
        (part / name).chmod(0o644)  # save_pretrained lets nobody else read the weights
        (part / name).replace(output / name)
    part.rmdir()


@contextmanager
def phase(name: str, total: int, minutes: dict[str, float]) -> Iterator[Callable[[str], None]]:
    """Show a progress bar, yield what advances it, note down the minutes it took."""
    start = time.perf_counter()
    columns = ("{task.description:<10}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=console) as bar:
        task = bar.add_task(name, total=total, note="")
        yield lambda note: bar.update(task, advance=1, note=note)
    minutes[name] = round((time.perf_counter() - start) / 60, 2)


if __name__ == "__main__":
    sys.exit(main())
