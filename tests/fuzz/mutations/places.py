"""What stands in place of a file, and paths that are none."""

import random

from fuzz.cases import Files, Odd

INSTEAD = (
    Odd("fifo"), Odd("folder"), Odd("link", "nowhere"), Odd("link", "."), Odd("link", "/dev/zero"),
    Odd("link", "/dev/full"), Odd("link", "/proc/self/mem"), Odd("link", "/dev/tty"),
    Odd("link", ".."),    Odd("link", "/proc/self/environ"),
)  # fmt: skip
PATHS = (
    "~nouser/model.pt", "~nouser", "~", "", ".", "..", "/", "./nowhere.pt", "\x00", "./a\x00b.pt",
    "./" + "x" * 300 + ".pt", "./" + "x/" * 3000 + "x.pt", "\udc80.pt", "./\udc80", "a/b/c",
    "[/a].pt", "./\n.pt", "/dev/null", "/dev/zero", "/dev/stdin", "/proc/self/mem", "-", "--help",
    "./case.json/x.pt", "http://127.0.0.1:9/x.pt", "$(touch $FUZZ_CANARY)", "COM1",
)  # fmt: skip


def mutate(rng: random.Random, files: Files) -> tuple[Files, str]:
    """One file is something else; a link that names itself goes round for ever."""
    name = rng.choice(list(files))
    odd = rng.choice((*INSTEAD, Odd("link", name.split("/")[-1])))
    return {**files, name: odd}, f"{name} is a {odd.kind} {odd.to}".rstrip()
