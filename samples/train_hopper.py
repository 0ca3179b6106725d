"""Make the bundled Hopper-v5 Decision Transformer from a simulator and two CPU cores.

    pip install "dt-export[gym]" transformers matplotlib
    python samples/train_hopper.py --plot hopper_returns.svg

Nothing is downloaded. The program

1. searches for gaits: a linear policy learns to hop as fast as it can, then is asked for lower
   and lower returns, which leaves a trail of gaits from a sprint to a drift backwards;
2. plays every gait with several levels of noise and writes down what happened;
3. trains a Decision Transformer on those episodes;
4. asks it for target returns over the whole range and measures what it achieves;
5. saves the checkpoint in transformers' format, with the facts for inference in policy.json.

Stop it with Ctrl-C whenever you like: the same command resumes where it stopped.
"""

import argparse
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import gymnasium
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

# Where cores are shared, threads of torch that spin while they wait slow each other down tenfold.
# torch reads this when it is imported: below, in the functions that need it (workers never do).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if TYPE_CHECKING:
    import torch
    from transformers import DecisionTransformerModel

ENVIRONMENT = "Hopper-v5"
STATE, ACTION = 11, 3  # sizes of Hopper's observation and action
HORIZON = 1000  # steps in a full episode
CONTEXT = 20  # steps the transformer sees
SCALE = 1000.0  # return-to-go is fed in thousands
PACKAGES = ("torch", "transformers", "gymnasium", "mujoco")
BUNDLED = Path(__file__).resolve().parents[1] / "dt_export" / "checkpoints" / "bundled" / "hopper"
Arrays = dict[str, np.ndarray]
console = Console()
FILES = ("model.safetensors", "config.json", "policy.json")  # of a checkpoint


@dataclass(frozen=True)
class Recipe:
    """Every number that shapes the result; two runs of one recipe do the same work."""

    seed: int = 0
    runners: int = 6  # searches started side by side; the best one goes on
    race: int = 40  # iterations each of them gets first
    climb: int = 60  # iterations towards the fastest gait
    hold: int = 40  # iterations at the highest asked return, to make that gait sure-footed
    descend: int = 200  # iterations from the highest asked return to the lowest
    highest: float = 3200.0
    lowest: float = 300.0
    keep_every: int = 3  # iterations between two gaits that are kept
    noises: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3)  # standard deviations added to actions
    repeats: int = 2  # episodes per gait and noise
    updates: int = 5000
    batch_size: int = 64
    learning_rate: float = 5e-4
    grid: tuple[float, ...] = (400.0, 800.0, 1200.0, 1600.0, 2000.0, 2400.0, 2700.0, 3000.0)
    episodes: int = 20  # per asked return, reset with seeds 0, 1, ...


QUICK = Recipe(
    runners=2, race=3, climb=2, hold=2, descend=6, keep_every=1, noises=(0.0, 0.2),
    updates=60, batch_size=16, grid=(800.0, 1600.0, 3000.0), episodes=2,
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Make the bundled Hopper-v5 Decision Transformer from nothing but gymnasium.",
        epilog="Ctrl-C stops it; the same command takes up where it left off.",
    )
    add = parser.add_argument
    add("--output", type=Path, metavar="DIR", help="checkpoint folder (default: the bundled one)")
    add("--work", type=Path, metavar="DIR", help="for resuming (default: hopper-work)")
    add("--seed", type=int, default=Recipe.seed, help="default: %(default)s")
    add("--quick", action="store_true", help="tiny settings that only prove it runs (a minute)")
    add("--evaluate-only", action="store_true", help="only measure the checkpoint in --output")
    add("--plot", type=Path, metavar="FILE", help="plot achieved over target, as .svg and .png")
    add("--force", action="store_true", help="replace what is in --output and --plot")
    flags = parser.parse_args()

    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # for the bars of saving and loading, which take no time
    recipe = replace(QUICK if flags.quick else Recipe(), seed=flags.seed)
    work = flags.work or Path("hopper-quick" if flags.quick else "hopper-work")
    output = flags.output or (work / "checkpoint" if flags.quick else BUNDLED)
    # A polite kill stops as cleanly as Ctrl-C, worker processes included.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if flags.plot and not flags.force:
            check_plot(flags.plot)
        if flags.evaluate_only:
            from transformers import DecisionTransformerModel

            policy = json.loads((output / "policy.json").read_text())
            mean, std = np.array(policy["state_mean"]), np.array(policy["state_std"])
            model = DecisionTransformerModel.from_pretrained(output)
            policy["training"]["evaluation"] = evaluate(recipe, model, mean, std)
        else:
            if not flags.force:
                check_output(output)
            policy = make(recipe, work, output)
        if flags.plot:
            plot(policy["training"], flags.plot)
    except KeyboardInterrupt:
        kept = "" if flags.evaluate_only else f"; run it again to go on from what {work} holds"
        console.print(f"Stopped{kept}.", soft_wrap=True)
        return 130
    except (OSError, ValueError) as error:
        console.print(f"Error: {error}", style="red", soft_wrap=True)
        return 1
    return 0


def make(recipe: Recipe, work: Path, output: Path) -> dict:
    """Collect, train, evaluate, save; returns what policy.json holds."""
    work.mkdir(parents=True, exist_ok=True)
    settings, text = work / "recipe.json", json.dumps(asdict(recipe), indent=2) + "\n"
    if settings.exists() and settings.read_text() != text:
        raise ValueError(f"{work} holds the work of another recipe; name another with --work")
    settings.write_text(text)
    if not (work / "dataset.npz").exists():
        with workers() as pool:
            collect(recipe, pool, find_gaits(recipe, pool, work), work)
    data = dict(np.load(work / "dataset.npz"))
    returns = np.add.reduceat(data["rewards"], data["offsets"][:-1], dtype=float)
    dataset = {"episodes": len(returns), "transitions": len(data["rewards"])}
    for name in ("min", "mean", "max"):
        dataset[f"return_{name}"] = float(getattr(returns, name)())
    console.print("Dataset: " + ", ".join(f"{key} {value:,.0f}" for key, value in dataset.items()))
    mean, std = data["states"].mean(0, dtype=float), data["states"].std(0, dtype=float) + 1e-6
    model = train(recipe, data, mean, std, work)
    rows = evaluate(recipe, model, mean, std, work)
    minutes = json.loads((work / "minutes.json").read_text())
    training = {
        "recipe": "samples/train_hopper.py",
        "seed": recipe.seed,
        "dataset": dataset,
        "updates": recipe.updates,
        "batch_size": recipe.batch_size,
        "minutes": {name: round(value, 1) for name, value in minutes.items()},
        "versions": {name: version(name) for name in PACKAGES},
        "evaluation": rows,
    }
    policy = {
        "environment": ENVIRONMENT,
        "context_length": CONTEXT,
        "return_scale": SCALE,
        "target_returns": [recipe.grid[-1], 1600.0, 800.0],
        "state_mean": mean.tolist(),
        "state_std": std.tolist(),
        "training": training,
    }
    save(model, policy, output)
    console.print(f"Saved {output}; minutes: {training['minutes']}", soft_wrap=True)
    return policy


# --- 1. Gaits -----------------------------------------------------------------------------------


def find_gaits(recipe: Recipe, pool: ProcessPoolExecutor, work: Path) -> list[np.ndarray]:
    """Search linear policies by Augmented Random Search (Mania et al. 2018, Algorithm 2, V2-t).

    Several searches race, since many never leave the ground; the leader climbs to a fast gait.
    From there the search is asked for an exact return, which falls from iteration to iteration.
    Neighbouring gaits on that trail differ little, so that a return-to-go selects one gait and
    not an average of unrelated ones. Returns gains (n, 3, 11) and biases (n, 3), fastest first.
    """
    steady = recipe.runners * recipe.race + recipe.climb
    total = steady + recipe.hold + recipe.descend
    path = work / "gaits.npz"
    shapes = {"weights": (ACTION, STATE), "seen": (1,), "sums": (STATE,), "squares": (STATE,)}
    state = {name: np.zeros((recipe.runners, *shape)) for name, shape in shapes.items()}
    state |= {"scores": np.zeros(recipe.runners), "iteration": np.array(0), "leader": np.array(0)}
    state |= {"gains": np.zeros((0, ACTION, STATE)), "biases": np.zeros((0, ACTION))}
    if path.exists():
        state = dict(np.load(path))
    first = int(state["iteration"])
    with phase("gaits", total, first, work) as tick:
        for iteration in range(first, total):
            if iteration <= recipe.runners * recipe.race:
                state["leader"] = state["scores"].argmax()
            racing = iteration < recipe.runners * recipe.race
            runner = iteration % recipe.runners if racing else int(state["leader"])
            asked, aim = None, "speed"
            if iteration >= steady:
                fall = max(0.0, (iteration - steady - recipe.hold + 1) / recipe.descend)
                asked = recipe.highest + fall * (recipe.lowest - recipe.highest)
                aim = f"{asked:,.0f}"
            keep = asked is not None and (iteration - steady) % recipe.keep_every == 0
            search_step([recipe.seed, iteration], pool, state, runner, asked, keep)
            state["iteration"] = np.array(iteration + 1)
            if iteration % 10 == 9 or iteration == total - 1:
                write_npz(path, state)
            tick(f"search {runner}, asked for {aim}: {state['scores'][runner]:,.0f}")
    return [state["gains"], state["biases"]]


def search_step(
    seed: list[int], pool: ProcessPoolExecutor, state: Arrays, runner: int, asked: float | None,
    keep: bool,
) -> None:  # fmt: skip
    """Move one search: try 8 random directions both ways, follow the best 4.

    Without an asked return the score is the return minus 1 per step survived (V2-t, as the paper
    has it for Hopper), else minus the distance to it and minus 2 per step lost to a fall.
    """
    rng = np.random.default_rng(seed)  # nothing is carried over, so that resuming changes nothing
    delta = rng.standard_normal((8, ACTION, STATE))
    seeds = rng.integers(2**31, size=8)
    seen = max(state["seen"][runner, 0], 1.0)
    mean = state["sums"][runner] / seen
    variance = state["squares"][runner] / seen - mean**2
    std = np.where(variance > 1e-8, np.sqrt(np.maximum(variance, 1e-8)), 1.0)
    if keep:
        gain = state["weights"][runner] / std
        state["gains"] = np.concatenate([state["gains"], gain[None]])
        state["biases"] = np.concatenate([state["biases"], -(gain @ mean)[None]])
    futures = []
    for direction in range(8):
        for sign in (1.0, -1.0):
            gain = (state["weights"][runner] + sign * 0.025 * delta[direction]) / std
            futures.append(pool.submit(play, gain, -gain @ mean, 0.0, int(seeds[direction])))
    episodes = [future.result() for future in futures]
    returns = np.array([episode["rewards"].sum(dtype=float) for episode in episodes])
    lengths = np.array([len(episode["rewards"]) for episode in episodes])
    scores = returns - lengths
    if asked is not None:
        scores = -np.abs(returns - asked) - 2.0 * (HORIZON - lengths)
    plus, minus = scores[0::2], scores[1::2]
    best = np.argsort(-np.maximum(plus, minus), kind="stable")[:4]
    spread = np.concatenate([plus[best], minus[best]]).std() + 1e-6
    gradient = np.tensordot(plus[best] - minus[best], delta[best], 1) / len(best)
    state["weights"][runner] += 0.01 / spread * gradient
    for episode in episodes:
        state["seen"][runner] += len(episode["states"])
        state["sums"][runner] += episode["states"].sum(0, dtype=float)
        state["squares"][runner] += (episode["states"].astype(float) ** 2).sum(0)
    state["scores"][runner] = returns.mean()


# --- 2. Episodes --------------------------------------------------------------------------------


@cache
def environment(number: int = 0) -> gymnasium.Env:
    """A bare environment of this process; the loops here keep the 1,000-step limit."""
    return gymnasium.make(ENVIRONMENT, disable_env_checker=True).unwrapped


def play(gain: np.ndarray, bias: np.ndarray, noise: float, seed: int) -> Arrays:
    """Play one episode of clip(gain @ state + bias) with noise on its actions.

    Kept are the executed actions, which a history holds, and the intended ones, which are the
    better thing to learn: noise shows how a gait recovers without being imitated (Laskey et al.
    2017, "DART"). Arrays (T, ...), T <= 1,000.
    """
    rng = np.random.default_rng(seed)
    state, _ = environment().reset(seed=seed)
    rows = []
    for _ in range(HORIZON):
        intended = np.clip(gain @ state + bias, -1.0, 1.0)
        action = np.clip(intended + noise * rng.standard_normal(ACTION), -1.0, 1.0)
        following, reward, fell, _, _ = environment().step(action)
        rows.append((state, action, intended, reward))
        state = following
        if fell:
            break
    names = ("states", "actions", "intended", "rewards")
    columns = (np.array(column, np.float32) for column in zip(*rows, strict=True))
    return dict(zip(names, columns, strict=True))


def collect(recipe: Recipe, pool: ProcessPoolExecutor, gaits: list[np.ndarray], work: Path) -> None:
    """Play every gait with every noise and write dataset.npz: episodes end to end, offsets (n+1,).

    Episodes that end in a fall are left out: their return says when the hopper fell, not how it
    moved, and would teach two meanings of the same return-to-go.
    """
    times = recipe.repeats
    cases = [(*gait, noise) for gait in zip(*gaits, strict=True) for noise in recipe.noises * times]
    with phase("dataset", len(cases), 0, work) as tick:
        base = 10_000 * (recipe.seed + 1)
        futures = [pool.submit(play, *case, base + number) for number, case in enumerate(cases)]
        episodes = []
        for future in futures:
            episodes.append(future.result())
            tick("")
        # A quick run has no gait that lasts; it keeps the longer half to prove the rest.
        lengths = [len(episode["rewards"]) for episode in episodes]
        least = HORIZON if HORIZON in lengths else max(CONTEXT, np.median(lengths))
        kept = [episode for episode in episodes if len(episode["rewards"]) >= least]
        columns = {key: np.concatenate([episode[key] for episode in kept]) for key in kept[0]}
        offsets = np.cumsum([0] + [len(episode["rewards"]) for episode in kept])
        write_npz(work / "dataset.npz", columns | {"offsets": offsets})


# --- 3. Training --------------------------------------------------------------------------------


def train(
    recipe: Recipe, data: Arrays, mean: np.ndarray, std: np.ndarray, work: Path
) -> "DecisionTransformerModel":
    """Train to predict intended actions from (return-to-go, state, action) windows.

    As in Chen et al. 2021, section 3: mean squared error on every action of 20-step windows.
    Windows are never padded: attention is causal, so the first window of an episode already
    trains every shorter history, and it is drawn in one case of twenty. Episodes are drawn so
    that each 200 of return weigh the same, however many episodes they hold.
    """
    import torch
    from transformers import DecisionTransformerConfig, DecisionTransformerModel

    states = ((data["states"] - mean) / std).astype(np.float32)
    offsets, lengths = data["offsets"], np.diff(data["offsets"])
    pieces = [data["rewards"][a:b] for a, b in pairwise(offsets)]
    to_go = np.concatenate([np.cumsum(piece[::-1], dtype=float)[::-1] for piece in pieces])
    to_go = (to_go / SCALE).astype(np.float32)[:, None]
    timesteps = np.concatenate([np.arange(length) for length in lengths])
    bins = (SCALE * to_go[offsets[:-1], 0] // 200).astype(int)
    weights = 1.0 / np.bincount(bins - bins.min())[bins - bins.min()]
    weights /= weights.sum()

    torch.manual_seed(recipe.seed)
    config = DecisionTransformerConfig(
        state_dim=STATE, act_dim=ACTION, hidden_size=128, n_layer=3, n_head=1,
        activation_function="relu", max_ep_len=HORIZON, n_positions=3 * CONTEXT,
        action_tanh=True, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    model = DecisionTransformerModel(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), recipe.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.updates, pct_start=0.1
    )
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    path, part_path, first = work / "training.pt", work / "training.part", 0
    if path.exists():
        saved = torch.load(path)
        first = saved["update"]
        for name, part in parts.items():
            part.load_state_dict(saved[name])

    average = 0.0
    with phase("training", recipe.updates, first, work) as tick:
        for update in range(first, recipe.updates):
            rng = np.random.default_rng([recipe.seed, update])  # resuming changes nothing
            chosen = rng.choice(len(lengths), recipe.batch_size, p=weights)
            start = (rng.random(recipe.batch_size) * (lengths[chosen] - CONTEXT + 1)).astype(int)
            start[rng.random(recipe.batch_size) < 0.05] = 0
            index = (offsets[chosen] + start)[:, None] + np.arange(CONTEXT)
            window = (states[index], data["actions"][index], to_go[index], timesteps[index])
            wanted = torch.from_numpy(data["intended"][index])
            loss = torch.nn.functional.mse_loss(predict(model, *window), wanted)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            optimizer.step()
            schedule.step()
            average += (loss.item() - average) * (1.0 if update == first else 0.02)
            if (update + 1) % 250 == 0 or update + 1 == recipe.updates:
                saved = {name: part.state_dict() for name, part in parts.items()}
                torch.save({**saved, "update": update + 1}, part_path)
                part_path.replace(path)
            tick(f"loss {average:.5f}")
    return model


def predict(model: "DecisionTransformerModel", *window: np.ndarray) -> "torch.Tensor":
    """Actions (batch, K, 3) for windows (batch, K, ...) of states, actions, to-go, timesteps.

    Each is predicted from what came before it, so the last action given is never looked at.
    """
    import torch

    states, actions, to_go, timesteps = (torch.from_numpy(array) for array in window)
    mask = torch.ones_like(timesteps)
    return model(
        states=states, actions=actions, returns_to_go=to_go, timesteps=timesteps,
        attention_mask=mask,
    ).action_preds  # fmt: skip


# --- 4. Evaluation ------------------------------------------------------------------------------


def evaluate(
    recipe: Recipe, model: "DecisionTransformerModel", mean: np.ndarray, std: np.ndarray,
    work: Path | None = None,
) -> list[dict]:  # fmt: skip
    """Ask for every return of the grid over seeds 0, 1, ...; prints a table, returns its rows.

    All episodes advance together, one batched prediction per step. The return-to-go starts at
    the asked return and falls by each reward (Chen et al. 2021, Algorithm 1).
    """
    model.eval().requires_grad_(False)
    asked = np.repeat(recipe.grid, recipe.episodes)
    size = len(asked)
    resets = [environment(i).reset(seed=i % recipe.episodes) for i in range(size)]
    current = np.stack([state for state, _ in resets])
    states = np.zeros((size, HORIZON, STATE), np.float32)
    actions = np.zeros((size, HORIZON, ACTION), np.float32)
    to_go = np.zeros((size, HORIZON, 1), np.float32)
    timesteps = np.tile(np.arange(HORIZON), (size, 1))
    achieved, fallen, alive = np.zeros(size), np.zeros(size, bool), np.arange(size)
    with phase("evaluation", HORIZON, 0, work) as tick:
        for step in range(HORIZON):
            states[alive, step] = (current[alive] - mean) / std
            to_go[alive, step, 0] = (asked - achieved)[alive] / SCALE
            index = np.ix_(alive, np.arange(max(0, step + 1 - CONTEXT), step + 1))
            window = (array[index] for array in (states, actions, to_go, timesteps))
            predicted = predict(model, *window)
            actions[alive, step] = np.clip(predicted[:, -1].numpy(), -1.0, 1.0)
            for i in alive:
                current[i], reward, fallen[i], _, _ = environment(int(i)).step(actions[i, step])
                achieved[i] += reward
            alive = alive[~fallen[alive]]
            tick(f"{len(alive)} of {size} still hop")
            if not len(alive):
                break
    table = Table("target", "achieved", "std", "lowest", "highest", title=f"{ENVIRONMENT} returns")
    rows = []
    for target in recipe.grid:
        found = achieved[asked == target]
        numbers = [target, *map(float, (found.mean(), found.std(), found.min(), found.max()))]
        table.add_row(*(f"{number:,.0f}" for number in numbers))
        row = dict(zip(("target", "mean", "std"), numbers[:3], strict=True))
        rows.append(row | {"episodes": recipe.episodes})
    console.print(table)
    return rows


def plot(training: dict, path: Path) -> None:
    """Draw achieved against asked return, as path.svg and path.png."""
    try:
        import matplotlib
    except ImportError:
        console.print("No plot: matplotlib is missing (pip install matplotlib).")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "dt-export", "font.size": 11})
    rows, dataset = training["evaluation"], training["dataset"]
    asked, mean, std = ([row[key] for row in rows] for key in ("target", "mean", "std"))
    low, high = dataset["return_min"], dataset["return_max"]
    end = 1.08 * max(*asked, high)
    figure, axes = plt.subplots(figsize=(6.4, 4.6), layout="constrained")
    axes.axhspan(low, high, color="0.9", label=f"episodes learnt from ({low:,.0f} to {high:,.0f})")
    axes.plot([0, end], [0, end], "--", color="0.45", lw=1, label="achieved = asked")
    axes.errorbar(
        asked, mean, std, fmt="o-", ms=5, capsize=4, color="#0b6e99",
        label=f"achieved (mean ± std, {rows[0]['episodes']} episodes)",
    )  # fmt: skip
    axes.set(
        xlim=(0, end), ylim=(0, end), title=f"One {ENVIRONMENT} checkpoint, asked for many returns",
        xlabel="asked return (reward per episode)", ylabel="achieved return (reward per episode)",
    )  # fmt: skip
    axes.legend(loc="lower right", frameon=False, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    svg, png = _plots(path)
    figure.savefig(svg, metadata={"Date": None})
    figure.savefig(png, dpi=160)
    console.print(f"Plot: {svg} and .png", soft_wrap=True)


# --- 5. Files, clocks and processes -------------------------------------------------------------


def check_output(output: Path) -> None:
    """Refuse a folder with files that this program would replace and did not write.

    Raises:
        ValueError: there is a checkpoint whose policy.json is missing or says nothing of training.
    """
    present = [name for name in FILES if (output / name).exists()]
    if not present:
        return
    try:
        ours = "training" in json.loads((output / "policy.json").read_text())
    except (OSError, ValueError):
        ours = False
    if not ours:
        raise ValueError(
            f"{output} holds {', '.join(present)}, which this program did not write: "
            "choose another --output or pass --force"
        )


def check_plot(path: Path) -> None:
    """Refuse to replace a plot.

    Raises:
        ValueError: one of its two files exists.
    """
    for each in _plots(path):
        if each.exists():
            raise ValueError(f"{each} exists: choose another --plot or pass --force")


def _plots(path: Path) -> tuple[Path, Path]:
    return path.with_suffix(".svg"), path.with_suffix(".png")


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


def write_npz(path: Path, arrays: Arrays) -> None:
    """Write arrays to a temporary file, then rename: a reader never sees half a file."""
    part = path.with_suffix(".part.npz")
    np.savez(part, **arrays)
    part.replace(path)


@contextmanager
def phase(name: str, total: int, done: int, work: Path | None) -> Iterator[Callable[[str], None]]:
    """Show a progress bar, yield what advances it, add the minutes spent to minutes.json."""
    start = time.perf_counter()
    columns = ("{task.description:<10}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, TextColumn("{task.fields[note]}"), console=console) as bar:
            task = bar.add_task(name, total=total, completed=done, note="")
            yield lambda note: bar.update(task, advance=1, note=note)
    finally:
        if work:
            path = work / "minutes.json"
            minutes = json.loads(path.read_text()) if path.exists() else {}
            minutes[name] = minutes.get(name, 0.0) + (time.perf_counter() - start) / 60
            path.write_text(json.dumps(minutes) + "\n")


@contextmanager
def workers() -> Iterator[ProcessPoolExecutor]:
    """One process per core; Ctrl-C reaches only the main process, which then dismisses them."""
    context = multiprocessing.get_context("spawn")
    ignore = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(os.cpu_count(), context, signal.signal, ignore) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


if __name__ == "__main__":
    sys.exit(main())
