"""docs/step-protocol.md is complete: whoever follows it gets the actions of ``Policy``, bit by bit.

``Driver`` was written from the page alone, in plain Python, and shares no code with dt_runtime.
Its comments name the rules of the page.
"""

import json
import math
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from checkpoints_made_here import save_hugging_face
from dt_runtime import Policy
from oracles import online_dt

from dt_export.checkpoints import Overrides, load
from dt_export.exporting import export

PAGE = Path(__file__).parents[2] / "docs" / "step-protocol.md"
BEGIN, END = "<!-- worked example: begin -->\n", "<!-- worked example: end -->\n"
HIDDEN = -math.inf


class Driver:
    """Runs a step graph by the rules of the page."""

    def __init__(self, path, batch, slots):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options)
        self.contract = json.loads(self.session.get_modelmeta().custom_metadata_map["dt_export"])
        self.inputs = {spec["name"]: spec for spec in self.contract["inputs"]}
        self.k, self.b, self.ring = self.contract["context_length"], batch, slots == "ring"
        self.g = 1 if self.ring else slots
        self.p = 3 if "returns_to_go" in self.inputs else 2
        self.c, self.r = self.p * self.k, self.b * self.g
        self.discrete = self.contract["action"]["kind"] == "discrete"
        self.caches = {}  # rule 19
        for name, spec in self.inputs.items():
            if name.startswith("past_"):
                first = self.b if spec["shape"][0] in ("batch", batch) else self.r
                _, self.n, length, depth = spec["shape"]
                length = self.c if length == self.c and first == self.r else self.c * self.g
                self.caches[name] = np.zeros((first, self.n, length, depth), spec["dtype"])
        self.t, self.returns, self.place = [0] * batch, [0.0] * batch, 0  # rule 1
        size = self.contract["action"]["size"]
        self.actions = [0] * batch if self.discrete else [np.zeros(size, np.float32)] * batch
        self.timesteps = [self.contract["first_timestep"]] * batch

    def reset(self, target, rows):
        for row in rows:  # rule 2
            self.t[row], self.returns[row] = 0, target
        if len(rows) == self.b:
            self.place = 0

    def begin(self, slot, t):
        """The step at which the slot's window begins."""
        if self.ring:  # rule 24
            return max(0, t - self.k + 1)
        phase = slot * self.k // self.g  # rule 15
        return 0 if t < phase else t - (t - phase) % self.k

    def bias(self, q, m, k, n, t, s):
        age = (n - m) % self.k  # rule 16
        u = t - age
        if u < s:
            return HIDDEN
        if u == s and k == 0:
            return 0.0 if age == 0 and q == 0 else HIDDEN
        return HIDDEN if age == 0 and k > q else 0.0

    def step(self, observations, rewards):
        """Actions [B], after the rewards of the last ones."""
        c, g, k, p = self.c, self.g, self.k, self.p
        pairs = [(b, slot) for b in range(self.b) for slot in range(g)]
        returns = [
            left - reward if t else left  # rule 4
            for left, reward, t in zip(self.returns, rewards, self.t, strict=True)
        ]
        first, n = self.contract["first_timestep"], (self.place + 1) % k  # rule 12
        last = first + self.contract["max_ep_len"] - 1
        timesteps = [min(first + t, last) for t in self.t]  # rule 10
        starts = [[self.begin(slot, t) for slot in range(g)] for t in self.t]
        answers = [row.index(min(row)) for row in starts]  # rule 17
        bias = [
            [
                [
                    self.bias(q, m, j, n, self.t[b], starts[b][slot])
                    for m in range(k)
                    for j in range(p)
                ]
                for q in range(p)
            ]
            for b, slot in pairs
        ]
        hidden = [HIDDEN] * c
        for b in range(self.b):  # rule 19
            if self.t[b] == 0:
                for cache in self.caches.values():
                    rows = len(cache) // self.b
                    cache[b * rows : (b + 1) * rows] = 0
        tokens = [(b, s, q, head) for b, s in pairs for q in range(p) for head in range(self.n)]
        given = {
            "states": [observations[b] for b, _ in pairs],  # rule 7
            "actions": [self.actions[b] for b, _ in pairs],  # rule 8
            "returns_to_go": [[returns[b]] for b, _ in pairs],  # rule 9
            "timesteps": [
                step for b, _ in pairs for step in (self.timesteps[b], *[timesteps[b]] * (p - 1))
            ],
            "attention_bias": [[rows] for rows in bias],
            "cache_indices": [[b * g + s, head, n * p + q] for b, s, q, head in tokens],  # 13
            "last_cache_indices": [[b, head, s * c + n * p + q] for b, s, q, head in tokens],  # 14
            "last_attention_bias": [  # rule 17
                [[[x for s in range(g) for x in (bias[b * g + s][-1] if s == answer else hidden)]]]
                for b, answer in enumerate(answers)
            ],
            "query_index": [(b * g + a + 1) * p - 1 for b, a in enumerate(answers)],  # rule 18
        }
        feed = self.caches | {
            name: np.array(value, self.inputs[name]["dtype"])
            for name, value in given.items()
            if name in self.inputs
        }
        names = [spec["name"] for spec in self.contract["outputs"]]
        out = dict(zip(names, self.session.run(names, feed), strict=True))
        self.caches = {name: out[name.replace("past_", "present_")] for name in self.caches}  # 20
        actions = list(out["logits"].argmax(-1) if self.discrete else self.bounded(out["action"]))
        windows = [[first + min(s), first + t] for s, t in zip(starts, self.t, strict=True)]
        self.t, self.returns = [t + 1 for t in self.t], returns  # rule 5
        self.actions, self.timesteps, self.place = actions, timesteps, n
        return np.array(actions), windows

    def bounded(self, actions):
        low, high = self.contract["action"]["low"], self.contract["action"]["high"]  # rule 21
        if low is not None:
            actions = np.maximum(actions, np.array(low, np.float32))
        return actions if high is None else np.minimum(actions, np.array(high, np.float32))


GRAPHS = {
    "two heads": {},
    "one head": dict(n_head=1),
    "one layer": dict(n_layer=1, n_head=1),
    "three layers": dict(n_layer=3, n_head=4),
    "discrete": dict(act_dim=4, action_tanh=False),
    "bounds, timesteps from 1": dict(action_tanh=False),
    "no timesteps": None,
    "fixed shapes": {},
    "K = 5": {},
    "K = 1": {},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """By name: the file, made when it is asked for first."""
    made = {}

    def file(name):
        if name not in made:
            made[name] = _export(name, tmp_path_factory.mktemp("graph"))
        return made[name]

    return file


def _export(name, folder):
    if name == "no timesteps":
        options = online_dt.Options(ordering=0)
        weights = online_dt.state_dict(np.random.default_rng(0), options)
        checkpoint = load(str(online_dt.save(folder / "ck", weights, options)))
    else:
        path = save_hugging_face(folder / "ck", **GRAPHS[name])
        if name.startswith("bounds"):
            facts = dict(action_low=[-2.0, -1.0], action_high=[1.0, 0.5], first_timestep=1)
            (path / "policy.json").write_text(json.dumps(facts))
        context = int(name[-1]) if name.startswith("K = ") else 6
        flags = Overrides(
            context_length=context, return_scale=100.0, discrete=name == "discrete" or None
        )
        checkpoint = load(str(path), flags)
    fixed = 2 if name == "fixed shapes" else None
    file = folder / "step.onnx"
    export(checkpoint, "onnx", file, graph="step", validate=False, static_batch=fixed)
    return file


CASES = (
    *(("two heads", batch, slots) for batch in (1, 3) for slots in (1, 2, 4, 6, "ring")),
    *((name, 2, 3) for name in GRAPHS if name not in ("two heads", "fixed shapes", "K = 1")),
    ("one layer", 1, 1),
    ("K = 5", 1, 2),
    ("K = 5", 3, 4),
    ("K = 1", 1, 1),
    ("K = 1", 2, "ring"),
    ("fixed shapes", 2, 4),
)


@pytest.mark.parametrize(("name", "batch", "slots"), CASES)
def test_a_driver_written_from_the_page_gives_the_same_bits(files, name, batch, slots):
    """Beyond the longest episode (40 timesteps), with rows that are reset at random."""
    policy, driver = Policy(files(name), batch_size=batch, slots=slots), None
    driver = Driver(files(name), batch, slots)
    rng = np.random.default_rng(7)
    everyone = list(range(batch))
    seen = set()
    for step in range(70):
        if step == 0:
            rows = everyone
        else:  # but nobody for 45 steps in the middle
            rows = [row for row in everyone if rng.random() < 0.08 and not 15 < step < 60]
        if rows:
            target = float(rng.normal(200, 50))
            policy.reset(target, rows=rows)
            driver.reset(target, rows)
        observations = rng.normal(0, 2, (batch, policy.contract.state.size))
        rewards = rng.normal(3, 1, batch)
        one = batch == 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # longer than max_ep_len
            expected = policy.act(
                observations[0] if one else observations, float(rewards[0]) if one else rewards
            )
        actions, windows = driver.step(observations.astype(np.float32), rewards.tolist())
        assert np.array_equal(actions[0] if one else actions, expected), step
        assert windows == policy.windows.tolist(), step
        seen.add(np.asarray(expected).tobytes())
    assert len(seen) > 10 or policy.contract.action.kind == "discrete"


def worked_example(path):
    """The table of the page, from what a policy really fills into a step graph."""
    policy = Policy(path, batch_size=2, slots=2)
    policy.reset(250.0)
    columns = ("timestep", "slots that begin", "answers", "window")
    head = ("run", "place", *(f"row {row}: {column}" for row in (0, 1) for column in columns))
    lines = [f"| {' | '.join(head)} |", f"|{' ---: |' * len(head)}"]
    for run in range(15):
        if run == 9:
            policy.reset(250.0, rows=[0])
        policy.act(np.zeros((2, 5)), np.zeros(2))
        place, began = policy._past.place
        begins = [[], []]
        for row, slot in zip(*began, strict=True) if began is not None else ():
            begins[row].append(str(slot))
        answers = policy._memory.arrays["query_index"] // 3 % 2
        cells = [str(run), str(place)]
        for row, (first, last) in enumerate(policy.windows.tolist()):
            timestep, answer = policy.timesteps[row], answers[row]
            cells += [f"{timestep}", ", ".join(begins[row]), f"{answer}", f"[{first}..{last}]"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def test_the_worked_example_is_what_the_policy_does(step_file):
    page = PAGE.read_text()
    assert page.split(BEGIN)[1].split(END)[0] == "\n" + worked_example(step_file) + "\n"
