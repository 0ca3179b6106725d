"""The documentation as a reader uses it: code blocks, and a folder to run them in."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dt_runtime
import numpy as np
import pytest
from checkpoints_made_here import save_hugging_face
from oracles import atari, corl, d3rlpy_numpy, kzl, min_dt, online_dt

from dt_export.cli.app import main

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
DIALECTS_PAGE, ARCHITECTURE_PAGE = "docs/dialects.md", "docs/architecture.md"
BLOCK = re.compile(
    r"(?P<why><!-- not run: [^\n]+ -->\n)?^(?P<indent> *)```(?P<language>\w*)[^\n]*\n"
    r"(?P<code>.*?)^(?P=indent)```$",
    re.M | re.S,
)
COMMAND = re.compile(r"^dt-export (.+?)(?: > \S+)?(?:  +#.*)?$", re.M)


@dataclass(frozen=True)
class Block:
    """A fenced block. ``sh`` and ``python`` are run, unless a comment above says why not."""

    language: str
    code: str
    run: bool

    @property
    def commands(self) -> list[str]:
        """The calls of dt-export in it, without the program's name, redirections and comments."""
        return COMMAND.findall(self.code)


def blocks(text: str) -> list[Block]:
    return [
        Block(found["language"], found["code"], not found["why"]) for found in BLOCK.finditer(text)
    ]


ORACLES = {
    "kzl.pt": (kzl, kzl.Options(positions=8)),
    "online_dt/model.pt": (online_dt, online_dt.Options(positions=8)),
    "corl/dt_checkpoint.pt": (corl, corl.Options()),
    "min_dt_best.pt": (min_dt, min_dt.Options()),
    "model_1000.d3": (d3rlpy_numpy, d3rlpy_numpy.Options(observation_shape=(5,))),
    "atari.pth": (atari, atari.Options()),
}
# What keeps a command short without changing what it shows; the last of two equal flags counts.
SHORTER = {
    "onnx": "--episodes 0",
    "c": "--episodes 0",
    "run": "--episodes 1",
    "bench": "--steps 2 --no-cold --sides eager,policy",
}
EPISODES = "--episodes 2 --target-return 6000 --workers 1"  # the bundled policy falls soon then
# Files that pages use without making them.
MADE_BY = {
    "hopper.onnx": "onnx --model hopper",
    "hopper_step.onnx": "onnx --model hopper --graph step",
    "hopper_step_int8.onnx": "onnx --model hopper --graph step --precision int8",
    "atari.onnx": "onnx --model checkpoints/atari.pth --n-head 2 --target-return 90",
}
# What pages write without defining it.
GIVEN: dict[str, Any] = {
    "Policy": dt_runtime.Policy,
    "observation": np.zeros(11),
    "reward": 1.0,
    "what_was_done": np.zeros(3),
    "observations": np.zeros((16, 11)),
    "rewards": np.ones(16),
    "stop": print,
}


def _shorter(words: list[str]) -> list[str]:
    """Flags to add, so that a command takes less time."""
    if words[0] == "validate" and "--env" in words:
        return shlex.split(EPISODES)
    return shlex.split(SHORTER.get(words[0], ""))


class Reader:
    """Runs what pages tell a reader to run, in one folder and each command once."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.ran: dict[str, str] = {}

    def run(self, command: str, capsys: pytest.CaptureFixture[str]) -> str:
        """What ``dt-export <command>`` prints; it must succeed."""
        if command not in self.ran:
            words = shlex.split(command)
            with pytest.raises(SystemExit) as done:
                main([*words, *_shorter(words)])
            printed = capsys.readouterr()
            assert done.value.code == 0, f"{command}\n{printed.out}{printed.err}"
            self.ran[command] = printed.out
        return self.ran[command]

    def run_page(self, page: str, capsys: pytest.CaptureFixture[str]) -> None:
        """Everything on a page, from top to bottom; Python blocks share their names."""
        text = PAGES[page].read_text(encoding="utf-8")
        for name, command in MADE_BY.items():
            if name in text:
                self.run(command, capsys)
        names = dict(GIVEN)
        for block in blocks(text):
            if block.run and block.language == "sh":
                for command in block.commands:
                    self.run(command, capsys)
            if block.run and block.language == "python":
                exec(compile(block.code, page, "exec"), names)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    folder = tmp_path_factory.mktemp("pages")
    checkpoints = folder / "checkpoints"
    save_hugging_face(checkpoints / "robot", statistics=False)
    np.savez(checkpoints / "stats.npz", mean=np.zeros(5), std=np.ones(5))
    for name, (oracle, options) in ORACLES.items():
        path = checkpoints / name
        path.parent.mkdir(exist_ok=True)
        made = tmp_path_factory.mktemp("made")
        weights = oracle.state_dict(np.random.default_rng(0), options)
        oracle.save(made, weights, options).rename(path)
        for beside in made.glob("*.yaml"):
            beside.rename(path.parent / beside.name)
    return Reader(folder)
