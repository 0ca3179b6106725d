"""`dt-export c --wasm`: the same policy in WebAssembly, called from JavaScript in Node.js."""

import ctypes
import json
import math
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from checkpoints_made_here import save_hugging_face
from dt_runtime import Policy
from dt_runtime.golden import Golden
from pages import PAGES, blocks

from dt_export.checkpoints import Checkpoint, Overrides, load
from dt_export.errors import CheckError, UsageError
from dt_export.exporting import export
from dt_export.files.ours import is_artifact
from dt_export.targets.c import TARGET, wasm
from dt_export.targets.c.reading import engine, read_contract
from dt_export.validation.golden import record

NODE = shutil.which("node")
CONTEXT = 6
KINDS: dict[str, dict[str, Any]] = {
    "fp32": {},
    "fp32, 3 slots": {"slots": 3},
    "bf16": {"precision": "bf16"},
    "int8": {"precision": "int8"},
    "int8, 16 bits": {"precision": "int8", "activation_bits": 16},
}


def compiler_is_there() -> bool:
    try:
        wasm.compiler()
    except UsageError:
        return False
    return True


pytestmark = [
    pytest.mark.skipif(not compiler_is_there(), reason="no compiler for WebAssembly"),
    pytest.mark.skipif(NODE is None, reason="no node"),
]


@dataclass(frozen=True)
class Made:
    """An export with its .wasm, and what it came from."""

    checkpoint: Checkpoint
    source: Path

    def golden(self, seed: int = 0) -> Golden:
        return record(self.checkpoint, read_contract(self.source), seed=seed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wasm")


def made(checkpoint: Checkpoint, path: Path, **options: Any) -> Made:
    options = {"slots": 1, "validate": False, "wasm": True, "force": True, **options}
    export(checkpoint, "c", path, **options)
    return Made(checkpoint, path)


def small(folder: Path, discrete: bool = False) -> Checkpoint:
    options = dict(action_tanh=False, seed=5) if discrete else {}  # it takes both actions
    name = "chooser" if discrete else "mover"
    flags = Overrides(context_length=CONTEXT, return_scale=100.0, discrete=discrete or None)
    return load(str(save_hugging_face(folder / name, **options)), flags)


@pytest.fixture(scope="module")
def mover(folder: Path) -> Made:
    return made(small(folder), folder / "mover.c")


@pytest.fixture(scope="module")
def chooser(folder: Path) -> Made:
    return made(small(folder, discrete=True), folder / "chooser.c")


def in_node(module: Path, body: str, folder: Path, **given: Any) -> Any:
    """What a JavaScript function body returns; ``policy`` is loaded, ``given`` is what is given."""
    script = folder / "script.mjs"
    script.write_text(
        f"import {{ load, FaultError }} from {json.dumps(module.with_suffix('.mjs').as_uri())};\n"
        f"const given = {json.dumps(given)};\n"
        "const policy = await load();\n"
        "function fault(call) {\n"
        "  try { call(); return null; } catch (error) { return [error.name, error.fault]; }\n"
        "}\n"
        f"const result = await (async () => {{ {body} }})();\n"
        "console.log(JSON.stringify(result));\n"
    )
    done = subprocess.run([str(NODE), str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def sections(path: Path) -> Iterator[tuple[int, bytes]]:
    """The sections of a .wasm: number and content."""
    content = path.read_bytes()
    assert content[:8] == b"\0asm\1\0\0\0"
    at = 8
    while at < len(content):
        number, at, size, shift = content[at], at + 1, 0, 0
        while True:
            byte = content[at]
            size |= (byte & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if byte < 0x80:
                break
        yield number, content[at : at + size]
        at += size


IMPORTS = 2


@pytest.mark.parametrize("name", ("mover", "chooser"))
def test_imports_nothing(request, name):
    path = request.getfixturevalue(name).source.with_suffix(".wasm")
    found = dict(sections(path))
    assert IMPORTS not in found
    assert {1, 3, 5, 7, 10, 11} <= set(found)  # types, functions, memory, exports, code, data


@pytest.fixture
def compilers_change() -> Iterator[None]:
    """Which compiler there is, is looked up again in this test and after it."""
    wasm.compiler.cache_clear()
    yield
    wasm.compiler.cache_clear()


@pytest.mark.parametrize("compiler", ("clang", "zig"))
def test_either_compiler(mover, compiler, tmp_path, monkeypatch, compilers_change):
    if not (shutil.which("wasm-ld") if compiler == "clang" else wasm.find_spec("ziglang")):
        pytest.skip(f"no {compiler}")
    for suffix in (".c", ".h"):
        shutil.copy(mover.source.with_suffix(suffix), tmp_path)
    copy = tmp_path / mover.source.name
    with monkeypatch.context() as here:
        if compiler == "zig":
            here.setenv("PATH", str(tmp_path))
        assert (wasm.compiler() == wasm.ZIG) == (compiler == "zig")
        wasm.write(copy, read_contract(copy))
    assert IMPORTS not in dict(sections(copy.with_suffix(".wasm")))
    replayed = wasm.replay(copy, mover.golden())
    assert replayed is not None and replayed.mismatch is None and replayed.acts > 0


@pytest.mark.parametrize("name", KINDS)
def test_golden_episodes(folder, tmp_path, name):
    policy = made(small(folder), tmp_path / "policy.c", **KINDS[name])
    golden = policy.golden(seed=3)
    replayed = wasm.replay(policy.source, golden)
    assert replayed is not None and replayed.mismatch is None
    assert 0 < replayed.error <= golden.tolerance
    acts = sum(event.act is not None for event in golden.events)
    assert replayed.acts == acts * golden.options.batch_size


def test_golden_episode_of_a_discrete_policy(chooser):
    replayed = wasm.replay(chooser.source, chooser.golden())
    assert replayed is not None and replayed.mismatch is None and replayed.error > 0


def changed(golden: Golden, **expected: Any) -> Golden:
    """The same episode, which expects something else of its last call."""
    *events, last = golden.events
    assert last.act is not None
    wrong = replace(last.act, expected=replace(last.act.expected, **expected))
    return replace(golden, events=(*events, replace(last, act=wrong)))


WRONG = {
    "action": dict(actions=((0.5, 0.5), (0.5, 0.5))),
    "window": dict(windows=((0, 1), (0, 1))),
    "timestep": dict(timesteps=(30, 30)),
    "return-to-go": dict(returns_to_go=(0.25, 0.25)),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_export_that_differs_in_node_is_refused(mover, what):
    golden = changed(mover.golden(), **WRONG[what])
    options = replace(TARGET.options(), wasm=True)
    contract = read_contract(mover.source)
    with pytest.raises(CheckError, match=rf"golden episode: event \d+, row 0: {what} .*expected"):
        TARGET.finish(mover.source, contract, options, lambda: golden)


def test_export_says_what_it_proved(folder, tmp_path):
    artifact, _ = export(small(folder), "c", tmp_path / "policy.c", wasm=True)
    said = artifact.companions[tmp_path / "policy.wasm"]
    assert said.startswith("its WebAssembly; replayed a golden episode in Node.js: worst error")
    names = {"policy.c", "policy.h", "policy.wasm", "policy.mjs", "policy.d.mts"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert all(is_artifact(tmp_path / name) for name in names)
    assert not os.access(tmp_path / "policy.wasm", os.X_OK) or os.name == "nt"


def test_export_without_node_says_so(mover, tmp_path, monkeypatch):
    for linker in ("clang", "wasm-ld"):  # wasm-ld may go by another name, such as wasm-ld-14
        for tool in Path(shutil.which(linker) or "/none").parent.glob(f"{linker}*"):
            (tmp_path / tool.name).unlink(missing_ok=True)
            (tmp_path / tool.name).symlink_to(tool)
    monkeypatch.setenv("PATH", str(tmp_path))
    options = replace(TARGET.options(), wasm=True)
    contract = read_contract(mover.source)
    said = TARGET.finish(mover.source, contract, options, mover.golden)
    assert said == {"mover.wasm": "its WebAssembly; not replayed: node is not installed"}


def test_a_node_that_fails_is_an_error(mover, tmp_path, monkeypatch):
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho 'SyntaxError: Unexpected token ??=' >&2\nexit 1\n")
    node.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(CheckError, match=r"SyntaxError.*nothing was written. Update Node\.js, or"):
        wasm.replay(mover.source, mover.golden())


def test_files_of_others_are_not_replaced(folder, tmp_path):
    other = tmp_path / "policy.mjs"
    other.write_text("export const mine = 1;\n")
    with pytest.raises(UsageError, match=r"policy\.mjs exists, and dt-export did not write it"):
        made(small(folder), tmp_path / "policy.c", force=False)
    assert list(tmp_path.iterdir()) == [other]


def test_weights_apart_are_refused(folder, tmp_path):
    with pytest.raises(UsageError, match="--wasm has its weights inside: drop --weights"):
        made(small(folder), tmp_path / "policy.c", weights=tmp_path / "policy.bin")


def test_the_same_export_gives_the_same_bytes(mover, folder, tmp_path):
    again = made(small(folder), tmp_path / "mover.c").source
    for suffix in (".wasm", ".mjs", ".d.mts"):
        assert (
            again.with_suffix(suffix).read_bytes() == mover.source.with_suffix(suffix).read_bytes()
        )


def test_names_that_need_quoting(mover, folder, tmp_path):
    for file in ("mover.c", "mover.h"):
        shutil.copy(mover.source.with_name(file), tmp_path)
    source = tmp_path / "it's 100% (é).c"
    header = source.with_suffix(".h")
    source.write_text((tmp_path / "mover.c").read_text().replace("mover.h", header.name))
    shutil.copy(tmp_path / "mover.h", header)
    wasm.write(source, read_contract(source))
    assert in_node(source, "return policy.timestep", tmp_path) == -1


PLAY = """
  const out = [];
  for (const [i, observation] of given.observations.entries()) {
    if (given.resets.includes(i)) policy.reset(150 + i);
    const action = policy.act(observation, given.rewards[i]);
    out.push({ action: [...action], window: policy.window, timestep: policy.timestep,
               left: policy.returnToGo });
  }
  return out;
"""
# Integer sums are equal everywhere; the floats between them differ in their last bits, which can
# move a rounded input by one step.
BOUNDS = {"fp32": 2e-6, "bf16": 1e-3, "int8": 1e-3}


@pytest.mark.parametrize("name", KINDS)
def test_equal_to_the_native_library(folder, tmp_path, name):
    source = made(small(folder), tmp_path / "policy.c", **KINDS[name]).source
    rng, steps = np.random.default_rng(1), 3 * CONTEXT + 4
    observations = rng.normal(0, 2, (steps, 5)).astype(np.float32)
    rewards, resets = rng.uniform(-1, 1, steps).round(3), [0, CONTEXT + 2]
    seen = in_node(
        source, PLAY, tmp_path,
        observations=observations.tolist(), rewards=rewards.tolist(), resets=resets,
    )  # fmt: skip
    native = Policy(engine(source))
    for i, step in enumerate(seen):
        if i in resets:
            native.reset(150 + i)
        action = native.act(observations[i], rewards[i] if i else None)
        bound = BOUNDS[KINDS[name].get("precision", "fp32")]
        assert np.abs(step["action"] - action).max() <= bound
        assert step["window"] == native.windows[0].tolist()
        assert step["timestep"] == native.timesteps[0]
        assert step["left"] == native.returns_to_go[0]


FAULTS = {
    "policy.act(ones, 0)": "NOT_RESET",
    "policy.reset(NaN)": "BAD_TARGET",
    "policy.reset(1e300)": "BAD_TARGET",
    "begin().act([1, 1, NaN, 1, 1], 0)": "BAD_OBSERVATION",
    "begin().act([1, 1, 1e39, 1, 1], 0)": "BAD_OBSERVATION",
    "begin().act([1, 1, undefined, 1, 1], 0)": "BAD_OBSERVATION",
    "later().act(ones, Infinity)": "BAD_REWARD",
    "later().act(ones)": "BAD_REWARD",
    "later().act(ones, 0, { applied: [NaN, 0] })": "BAD_APPLIED_ACTION",
}
HELPERS = """
  const ones = [1, 1, 1, 1, 1];
  const begin = () => { policy.reset(100); return policy; };
  const later = () => { begin().act(ones, 0); return policy; };
"""


@pytest.mark.parametrize("call", FAULTS)
def test_faults(mover, tmp_path, call):
    seen = in_node(mover.source, f"{HELPERS} return fault(() => {call});", tmp_path)
    assert seen == ["FaultError", FAULTS[call]]


WRONG_LENGTHS = {
    "policy.act([1, 1, 1, 1], 0)": "the observation has length 4, expected 5",
    "policy.act(undefined, 0)": "the observation has length undefined, expected 5",
    "policy.act(ones, 0, { applied: [1] })": "the applied action has length 1, expected 2",
}


@pytest.mark.parametrize("call", WRONG_LENGTHS)
def test_arrays_of_another_length(mover, tmp_path, call):
    body = f"begin(); try {{ {call}; }} catch (error) {{ return [error.name, error.message]; }}"
    assert in_node(mover.source, HELPERS + body, tmp_path) == ["RangeError", WRONG_LENGTHS[call]]


def test_a_fault_leaves_the_policy_as_it_was(mover, tmp_path):
    body = """
      later();
      const twin = policy.clone();
      fault(() => policy.act([NaN, 1, 1, 1, 1], 0));
      fault(() => policy.act(ones, NaN));
      fault(() => policy.reset(NaN));
      const applied = [0.25, -0.5];
      return [policy, twin].map((p) => [[...p.act(ones, 1, { applied })], p.returnToGo, p.window]);
    """
    after, twin = in_node(mover.source, HELPERS + body, tmp_path)
    assert after == twin
    assert after[1:] == [99.0, [0, 1]]


def test_applied_actions_count(mover, tmp_path):
    body = """
      const [same, other, plain] = [later(), policy.clone(), policy.clone()];
      const twos = [2, 2, 2, 2, 2];
      const given = policy.clone();
      begin();
      const first = policy.act(ones, 0);
      return [[...given.act(twos, 1, { applied: first })], [...plain.act(twos, 1)],
              [...other.act(twos, 1, { applied: [0.9, -0.9] })]];
    """
    same, plain, other = in_node(mover.source, HELPERS + body, tmp_path)
    assert same == plain != other


def test_clones_go_their_own_way(mover, tmp_path):
    body = """
      later();
      const clones = Array.from({ length: 40 }, () => policy.clone());
      const actions = clones.map((clone, i) => [...clone.act(ones.map((x) => x * i), 1)]);
      const alone = clones.map((clone) => clone.timestep);
      return { actions, alone, mine: policy.timestep,
               last: [...policy.act(ones.map((x) => x * 39), 1)] };
    """
    seen = in_node(mover.source, HELPERS + body, tmp_path)
    assert seen["alone"] == [1] * 40 and seen["mine"] == 0
    assert seen["actions"][39] == seen["last"]
    assert len({tuple(action) for action in seen["actions"]}) > 30


def test_freed_memory_is_used_again(mover, tmp_path):
    body = """
      later();
      for (let i = 0; i < 300000; i++) policy.clone().free();
      const gone = policy.clone();
      const action = [...gone.act(ones, 1)];
      gone.free();
      let message;
      try { gone.act(ones, 1); } catch (error) { message = error.message; }
      return [action, [...policy.act(ones, 1)], message];
    """
    gone, action, message = in_node(mover.source, HELPERS + body, tmp_path)
    assert gone == action
    assert message.startswith("the policy was freed")


def test_actions_are_arrays_of_their_own(mover, tmp_path):
    body = """
      const first = begin().act(ones, 0), before = [...first];
      policy.act([2, 2, 2, 2, 2], 0);
      return [first instanceof Float32Array, before, [...first]];
    """
    typed, before, after = in_node(mover.source, HELPERS + body, tmp_path)
    assert typed and before == after


SOURCES = {
    "a URL": "new URL(given.url)",
    "a string": "given.url",
    "bytes": "readFileSync(new URL(given.url))",
    "a module": "await WebAssembly.compile(readFileSync(new URL(given.url)))",
    "a response": "new Response(readFileSync(new URL(given.url)))",
    "a data: URL": "'data:application/wasm;base64,' + "
    "readFileSync(new URL(given.url)).toString('base64')",
}


@pytest.mark.parametrize("source", SOURCES)
def test_where_it_is_loaded_from(mover, tmp_path, source):
    body = f"""
      const {{ readFileSync }} = await import("node:fs");
      const other = await load({SOURCES[source]});
      {HELPERS} begin(); other.reset(100);
      return [[...policy.act(ones, 0)], [...other.act(ones, 0)]];
    """
    url = mover.source.with_suffix(".wasm").as_uri()
    one, other = in_node(mover.source, body, tmp_path, url=url)
    assert one == other


def test_over_http(mover, tmp_path):
    folder = mover.source.parent

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        body = """
          const there = await load(`${given.url}/mover.wasm`);
          try { await load(`${given.url}/none.wasm`); }
          catch (error) { return [there.timestep, error.message]; }
        """
        timestep, message = in_node(mover.source, body, tmp_path, url=url)
        server.shutdown()
    assert timestep == -1
    assert message == f"{url}/none.wasm: 404 File not found"


def test_a_response_that_failed(mover, tmp_path):
    body = """
      try { await load(new Response("gone", { status: 404, statusText: "Not Found" })); }
      catch (error) { return error.message; }
    """
    assert in_node(mover.source, body, tmp_path).endswith("404 Not Found")


def test_contract(mover, tmp_path):
    seen = in_node(mover.source, "return policy.contract", tmp_path)
    assert seen == json.loads(read_contract(mover.source).to_json())


def test_before_the_first_action(mover, tmp_path):
    body = "policy.reset(125); return [policy.timestep, policy.window, policy.returnToGo]"
    assert in_node(mover.source, body, tmp_path) == [-1, [-1, -1], 125.0]


def test_discrete_actions(chooser, tmp_path):
    body = f"""
      {HELPERS}
      const out = [];
      for (let i = 0; i < 40; i++) {{
        policy.reset(20 * i - 400);
        out.push([policy.act(ones.map((_, k) => 5 * Math.sin(i * k + i)), 0), [...policy.logits]]);
      }}
      return out;
    """
    steps = in_node(chooser.source, body, tmp_path)
    assert all(action == int(np.argmax(logits)) for action, logits in steps)
    assert len({action for action, _ in steps}) > 1


TEMPERATURE = 3.0  # both actions are likely


def test_draws_follow_the_softmax(chooser, tmp_path):
    body = f"""
      {HELPERS} later();
      const drawn = given.randoms.map(
        (random) => policy.clone().draw(ones, 0, given.temperature, random));
      policy.act(ones, 0);
      return {{ drawn, logits: [...policy.logits] }};
    """
    randoms = [(i + 0.5) / 50 for i in range(50)]
    seen = in_node(chooser.source, body, tmp_path, randoms=randoms, temperature=TEMPERATURE)
    weights = np.exp((np.array(seen["logits"]) - max(seen["logits"])) / TEMPERATURE)
    bounds = np.cumsum(weights) / weights.sum()
    expected = [int(np.searchsorted(bounds, random, side="right")) for random in randoms]
    assert seen["drawn"] == expected
    assert set(expected) == {0, 1}


DISCRETE_FAULTS = {
    "begin().draw(ones, 0, 0, 0.5)": "BAD_TEMPERATURE",
    "begin().draw(ones, 0, NaN, 0.5)": "BAD_TEMPERATURE",
    "begin().draw(ones, 0, 1, 1)": "BAD_RANDOM",
    "later().act(ones, 0, { applied: 2 })": "BAD_APPLIED_ACTION",
    "later().act(ones, 0, { applied: 0.5 })": "BAD_APPLIED_ACTION",
    "later().draw(ones, 0, 1, 0.5, { applied: -1 })": "BAD_APPLIED_ACTION",
}


@pytest.mark.parametrize("call", DISCRETE_FAULTS)
def test_discrete_faults(chooser, tmp_path, call):
    seen = in_node(chooser.source, f"{HELPERS} return fault(() => {call});", tmp_path)
    assert seen == ["FaultError", DISCRETE_FAULTS[call]]


def test_draw_has_a_random_number_of_its_own(chooser, tmp_path):
    body = f"{HELPERS} begin(); return [policy.draw(ones, 0), policy.draw(ones, 0, 0.5)];"
    assert all(action in (0, 1) for action in in_node(chooser.source, body, tmp_path))


USES = {
    "mover": """
      const action: Float32Array = policy.act(new Float32Array(5), 0.5, { applied: [0, 0] });
      // @ts-expect-error a policy of continuous actions draws none
      policy.draw([0, 0, 0, 0, 0], 0);
    """,
    "chooser": """
      const action: number = policy.act([0, 0, 0, 0, 0], 0, { applied: 1 });
      const drawn: number = policy.draw([0, 0, 0, 0, 0], 0, 1, 0.5) + policy.logits[0]!;
    """,
}


@pytest.mark.skipif(shutil.which("tsc") is None, reason="no tsc")
@pytest.mark.parametrize("name", USES)
def test_types(request, name, tmp_path):
    source = request.getfixturevalue(name).source
    for suffix in (".mjs", ".d.mts"):
        shutil.copy(source.with_suffix(suffix), tmp_path)
    (tmp_path / "use.mts").write_text(
        f'import {{ load, FaultError, type Fault }} from "./{name}.mjs";\n'
        "const policy = await load();\n"
        "policy.reset(policy.contract.target_returns?.[0] ?? 100);\n"
        "const [first, last]: [number, number] = policy.window;\n"
        "const twin = policy.clone();\n"
        "twin.free();\n"
        "try { policy.reset(first + last + policy.returnToGo + policy.timestep); }\n"
        "catch (error) { if (error instanceof FaultError) { const fault: Fault = error.fault; } }\n"
        "// @ts-expect-error a policy is loaded, not constructed\n"
        "new FaultError();\n"
        f"{USES[name]}"
    )
    flags = "--strict --noEmit --target es2022 --module nodenext --lib es2022,dom --types "
    done = subprocess.run(
        ["tsc", *flags.split(), "", "use.mts"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(shutil.which("cc") is None, reason="no cc")
def test_exponentials(tmp_path):
    library = tmp_path / "library.so"
    source = Path(wasm.__file__).parent / "source" / "wasm" / "library.c"
    renamed = [f"-D{name}=own_{name}" for name in ("exp", "memcpy", "memmove", "memset")]
    command = ["cc", "-shared", "-fPIC", "-O2", "-ffreestanding", f"-I{source.parent}", *renamed]
    subprocess.run([*command, str(source), "-o", str(library)], check=True)
    exp = ctypes.CDLL(str(library)).own_exp
    exp.restype, exp.argtypes = ctypes.c_double, [ctypes.c_double]
    for x in np.concatenate([np.linspace(-706, 708, 20_001), np.linspace(-1, 1, 2_001)]):
        assert abs(exp(x) / math.exp(x) - 1) < 1e-15
    assert [exp(-1e6), exp(0.0), exp(1e6)] == [0.0, 1.0, math.inf]
    assert math.isnan(exp(math.nan))


def test_the_page_runs(tmp_path):
    """The JavaScript of docs/from-javascript.md, from top to bottom."""
    hopper = made(load("hopper"), tmp_path / "hopper.c").source
    page = PAGES["docs/from-javascript.md"].read_text(encoding="utf-8")
    code = [block.code for block in blocks(page) if block.language == "js"]
    script = hopper.with_name("page.mjs")
    # Each block in a scope of its own, in which it may use what the first one declared.
    first, *others = ("\n".join(re.findall(r"^(?!import ).*$", text, re.M)) for text in code)
    imports = "import { load, FaultError } from './hopper.mjs';\n"
    script.write_text(imports + first + "".join(f"{{\n{text}}}\n" for text in others))
    done = subprocess.run([str(NODE), str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    promised = re.findall(r"console\.log\(.*\); +// (.+)", page)
    printed = done.stdout.splitlines()
    assert [re.sub(r"[\[\] ]", "", line) for line in printed] == [
        re.sub(r"[\[\] ]", "", line) for line in promised
    ]


def test_on_the_command_line(cli, folder, mover):
    code, out, _ = cli(
        "c", "--model", folder / "mover", "--context-length", CONTEXT, "--output", "robot.c",
        "--slots", 1, "--wasm", "--no-validate",
    )  # fmt: skip
    assert code == 0
    assert "and robot.wasm, its WebAssembly" in out and "and robot.d.mts" in out


def test_without_a_compiler(cli, folder, mover, monkeypatch, tmp_path, compilers_change):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(wasm, "find_spec", lambda name: None)
    code, _, error = cli("c", "--model", folder / "mover", "--context-length", CONTEXT, "--wasm")
    assert code == 2
    assert "--wasm needs a compiler for WebAssembly: `pip install 'dt-export[c]'`" in error
    assert not list(tmp_path.iterdir())
