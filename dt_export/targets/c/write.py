"""Prints a program as C: templates of ``source/``, filled in."""

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from dt_runtime.contract import ActionSpec, Contract

from dt_export.files.ours import PRODUCER
from dt_export.targets.c.layout import Array, padded
from dt_export.targets.c.program import FUNCTIONS, Field, Program
from dt_export.targets.c.templates import comment, filled, number, numbers, prefixed, template

MAGIC = "dt_export contract\n"  # before the contract, wherever it is
WEIGHTS_MAGIC = b"dt_export weights\0"
WEIGHTS_HEAD = 64  # bytes of a file of weights before the first number
# The kernels of an instruction set.
SECTION = ("instructions.c", "vectors.c", "functions.c", "dots.c", "products.c")
OF_PRECISION = {"fp32": (), "bf16": ("bf16.c",), "int8": ("int8.c", "integers.c")}

# The kernels of -D..._DISPATCH, the best ones last: what the processor must have, and what the
# compiler is told.
DISPATCH = {
    "base": ("1", "", {"X86": 1}),
    "avx2": (
        '__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")',
        "avx2,fma",
        {"X86": 2, "HAS_FMA": 1},
    ),
    "avx512": (
        '__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && '
        '__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")',
        "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma",
        {"X86": 3, "HAS_FMA": 1},
    ),
    "newest": (
        '__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && '
        '__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && '
        '__builtin_cpu_supports("{feature}")',
        "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,{feature}",
        {"X86": 3, "HAS_FMA": 1, "VNNI": 1, "BF16": 1},
    ),
}
FEATURE = {"int8": "avx512vnni", "bf16": "avx512bf16"}
FLAGS = ("X86", "VNNI", "BF16", "HAS_FMA", "ARM64", "NEON", "DOTPROD", "WASM", "SIMD32")


@dataclass(frozen=True)
class Style:
    """What the user chose about the text of a file."""

    prefix: str
    header: str  # the name of the .h, as it is included
    weights_apart: bool = False
    activation_bits: int = 8


@dataclass(frozen=True)
class Files:
    """The text of a file of C and of its header, and its weights if they are apart."""

    source: str
    header: str
    weights: bytes | None


def printed(program: Program, contract: Contract, style: Style) -> Files:
    """The files of a program. The same arguments give the same bytes."""
    values = b"".join(_little(field.values) for field in program.fields)
    weights = None
    if style.weights_apart:
        weights = WEIGHTS_MAGIC.ljust(WEIGHTS_HEAD, b"\0") + values
    named = {
        "title": titled(contract),
        "header": style.header,
        "target": repr(float(contract.target_returns[0])) if contract.target_returns else "0.0",
        "facts": _facts(contract),
        "out": "&" if contract.action.kind == "discrete" else "",
    }
    size = len(weights) if weights is not None else len(values)
    header = filled(
        template("policy.h"),
        named,
        {
            "sizes": _sizes(program, contract, style, size),
            "open": template("open.h") if style.weights_apart else "",
            "act": template(f"act_{contract.action.kind}.h"),
        },
    )
    source = filled(
        template("policy.c"),
        named,
        {
            "configuration": _configuration(program, contract, style, weights),
            "weights": _weights(program, style),
            "kernels": _kernels(program, contract),
            "normalise": _normalise(program, contract),
            "acts": _acts(contract),
            "contract": _contract(contract),
        },
    )
    return Files(prefixed(source, style.prefix), prefixed(header, style.prefix), weights)


def titled(contract: Contract) -> str:
    """How every file begins, in a comment: our name first."""
    source = contract.source.model
    return comment(f"{PRODUCER}: {source}, {contract.dialect}, {contract.precision}")


def _facts(contract: Contract) -> str:
    """What the policy takes and gives, for people."""
    action, targets = contract.action, ", ".join(f"{t:g}" for t in contract.target_returns)
    said = [f"observation: {contract.state.size} raw numbers{_named(contract.state.names)}"]
    if action.kind == "discrete":
        said += [f"action: an index below {action.size}{_named(action.names)}"]
    else:
        said += [f"action: {action.size} raw numbers{_bounds(action)}{_named(action.names)}"]
    if any(spec.name == "returns_to_go" for spec in contract.inputs):
        said += [f"target returns: {targets}" if targets else "target returns: the file names none"]
    else:
        said += ["target returns: the policy is not conditioned on returns; ask for 0"]
    said += [f"environment: {contract.environment}"] if contract.environment else []
    return "\n".join(f"       {comment(line)}" for line in said)


def _named(names: tuple[str, ...] | None) -> str:
    return f" ({', '.join(names)})" if names else ""


def _bounds(action: ActionSpec) -> str:
    """The bounds that all numbers of an action share."""
    bounds = {*zip(action.low or (), action.high or (), strict=False)}
    return "" if len(bounds) != 1 else " from {:g} to {:g}".format(*bounds.pop())


def _defines(values: Mapping[str, object]) -> str:
    return "\n".join(f"#define PREFIX_{name} {value}" for name, value in values.items())


def _sizes(program: Program, contract: Contract, style: Style, weights: int) -> str:
    config = program.config
    tokens = config.tokens_per_step
    slots = _slots(contract)
    width, deep = padded(config.hidden_size), padded(config.head_size)
    positions = tokens * contract.context_length
    mixed = config.n_head * deep if config.n_head > 1 else width
    inner = padded(config.n_inner)
    rounded = {"fp32": 0, "bf16": max(width, mixed, inner), "int8": max(width, mixed, inner)}
    public = {
        "STATE_SIZE": contract.state.size,
        "ACTION_SIZE": contract.action.size,
        "CONTEXT_LENGTH": contract.context_length,
        "SLOTS": slots,
        "WEIGHTS_BYTES": weights,
    }
    private = {
        "TOKENS": tokens,
        "ROWS": tokens * slots,
        "LAYERS": config.n_layer,
        "HEADS": config.n_head,
        "HIDDEN": config.hidden_size,
        "WIDTH": width,
        "DEEP": deep if config.n_head > 1 else width,
        "MIXED": mixed,
        "INNER": inner,
        "SCRATCH": max(inner, 0 if config.n_head == 1 else width + mixed),
        "POSITIONS": positions,
        "CACHE": -(-positions // 64) * 64,
        "ENCODED": max(program.widest, padded(contract.action.size), width),
        "ACTION_PADDED": padded(contract.action.size),
        "OUTPUT_PADDED": padded(contract.action.size),
        "ROUNDED": rounded[contract.precision],
        "SINGLE": int(config.n_head == 1),
        "WEIGHTS_APART": int(style.weights_apart),
    }
    notes = {
        "STATE_SIZE": "floats in an observation",
        "ACTION_SIZE": "actions to choose from"
        if contract.action.kind == "discrete"
        else "floats in an action",
        "CONTEXT_LENGTH": "K, in timesteps",
        "SLOTS": "staggered caches: more of them see longer windows and cost more time",
        "WEIGHTS_BYTES": "in the file of weights" if style.weights_apart else "constant memory",
    }
    lines = [f"#define PREFIX_{f'{k} {v}':<24} /* {notes[k]} */" for k, v in public.items()]
    return "\n".join([*lines, "", "/* private sizes */", _defines(private)])


def _configuration(
    program: Program, contract: Contract, style: Style, weights: bytes | None
) -> str:
    config = program.config
    limit = float(np.finfo(np.float32).max) * min(1.0, contract.return_scale)
    token = config.token_activation
    values: dict[str, object] = {
        "PRECISION": f"PREFIX_{contract.precision.upper()}",
        "ACTIVATION_BITS": style.activation_bits,
        "PANEL": 16,
        "ACTIVATION": f"PREFIX_{FUNCTIONS[config.activation]}",
        "TOKEN_ACTIVATION": f"PREFIX_{FUNCTIONS[token]}" if token else "PREFIX_NOTHING",
        "NORM_FIRST": int(config.norm_first),
        "FINAL_NORM": int(config.final_norm),
        "EMBED_NORM": int(config.embed_norm),
        "EPSILON": number(config.layer_norm_epsilon),
        "EMBED_EPSILON": number(config.embed_norm_epsilon),
        "ACTION_TANH": int(config.action_tanh),
        "ACTION_SCALE": number(config.action_scale),
        "ACTION_TABLE": int(contract.action.kind == "discrete"),
        "RETURNS": int(config.returns),
        "TIMESTEPS": int(config.positions == "timestep"),
        "MAX_EP_LEN": contract.max_ep_len,
        "FIRST_TIMESTEP": contract.first_timestep,
        "RETURN_SCALE": number(contract.return_scale),
        "RETURN_LIMIT": float(limit).hex(),
        "MAGIC": len(MAGIC),
    }
    if weights is not None:
        values |= {
            "WEIGHTS_HEAD": WEIGHTS_HEAD,
            "WEIGHTS_CRC": f"{zlib.crc32(weights):#010x}u",
        }
    return _defines(values)


def _slots(contract: Contract) -> int:
    shapes = {spec.name: spec.shape for spec in contract.inputs}
    slots = shapes["states"][0]
    assert isinstance(slots, int), "the file has fixed shapes"
    return slots


def _weights(program: Program, style: Style) -> str:
    """The type of the weights, and unless they are apart their values."""
    layers = [f for f in program.fields if f.path.startswith("layers[")]
    others = [f for f in program.fields if not f.path.startswith("layers[")]
    head = [f for f in others if f.path.startswith("head.")]
    before = [f for f in others if f not in head]
    first = [f for f in layers if f.path.startswith("layers[0].")]
    assert [*before, *layers, *head] == list(program.fields)
    lines = ["typedef struct prefix_layer {"]
    lines += _members([(f.path.removeprefix("layers[0]."), f) for f in first])
    lines += ["} prefix_layer;", "", "typedef struct prefix_weights {"]
    lines += _members([(f.path, f) for f in before])
    lines += ["    prefix_layer layers[PREFIX_LAYERS];"]
    lines += _members([(f.path, f) for f in head])
    lines += ["} prefix_weights;", ""]
    if style.weights_apart:
        return "\n".join([*lines, template("open.c")])
    lines += ["static const prefix_weights prefix_values PREFIX_ALIGNED = {"]
    lines += _values([(f.path, f) for f in before])
    lines += ["{"]
    for _, group in groupby(layers, key=lambda f: f.path.split(".")[0]):
        lines += ["{", *_values([(f.path.split(".", 1)[1], f) for f in group]), "},"]
    lines += ["},", *_values([(f.path, f) for f in head]), "};", ""]
    lines += ["#define WEIGHTS(p) ((void)(p), &prefix_values)"]
    return "\n".join(lines)


Named = list[tuple[str, Field]]


def _members(named: Named) -> Iterator[str]:
    """Members of a struct: `query.w` is member w of a struct query."""
    for name, group in groupby(named, key=lambda pair: pair[0].split(".")[0]):
        members = list(group)
        if "." not in members[0][0]:
            yield f"    {members[0][1].type} {name}[{members[0][1].values.size}];"
            continue
        inner = " ".join(f"{f.type} {n.split('.')[1]}[{f.values.size}];" for n, f in members)
        yield f"    struct {{ {inner} }} {name};"


def _values(named: Named) -> Iterator[str]:
    for name, group in groupby(named, key=lambda pair: pair[0].split(".")[0]):
        members = list(group)
        nested = "." in members[0][0]
        yield f"{'{' * nested} /* {name} */"
        for _, field in members:
            yield "{"
            yield from numbers(field.values)
            yield "},"
        if nested:
            yield "},"


def _little(values: Array) -> bytes:
    out = values.astype(values.dtype.newbyteorder("<")).tobytes()
    assert len(out) % 64 == 0, "arrays keep one another aligned"
    return out


def _kernels(program: Program, contract: Contract) -> str:
    """The sections of all instruction sets, and the functions that choose one."""
    parts = [
        "#if !defined(PREFIX_DISPATCH) || !PREFIX_GNU || !defined(__SSE2__)",
        template("native.c"),
    ]
    parts += [_section("native", program, contract), _chosen({"native": "1"})]
    parts += ["#else"]
    conditions = {}
    feature = FEATURE.get(contract.precision)
    for name, (needs, target, flags) in DISPATCH.items():
        if name == "newest" and feature is None:
            continue
        conditions[name] = needs.format(feature=feature)
        told = target.format(feature=feature)
        given = "\n".join(f"#define {name}_{flag} {flags.get(flag, 0)}" for flag in FLAGS)
        body = [given, _section(name, program, contract)]
        if told:
            body = [
                template("targeted.c").replace("<<target>>", told),
                *body,
                template("untargeted.c"),
            ]
        parts += body
    parts += [_chosen(conditions), "#endif"]
    return "\n".join(parts)


def _section(isa: str, program: Program, contract: Contract) -> str:
    text = "\n".join(template(name) for name in (*SECTION, *OF_PRECISION[contract.precision]))
    text += "\n" + template("step.c")
    text = filled(text, {}, {"encoder": "\n".join(f"    {line}" for line in program.encoder)})
    return re.sub(r"\bisa_", f"{isa}_", text)


def _chosen(conditions: Mapping[str, str]) -> str:
    """Functions that call the kernels which `prefix_best_kernel` found."""
    names = list(conditions)
    best = "\n".join(
        f"    if ({conditions[name]}) return {names.index(name)};" for name in reversed(names[1:])
    )
    text = template("chosen.c").replace("<<best>>", best)
    for call in ("embed", "network", "integers"):
        cases = "\n".join(
            f"    case {index}: {name}_{call}(<<{call}>>); return;"
            for index, name in enumerate(names[1:], start=1)
        )
        arguments = {
            "embed": "p, state, action, index, return_to_go, last_timestep, timestep",
            "network": "p, base, answering, output",
            "integers": "p, hash",
        }[call]
        body = f"    default: {names[0]}_{call}(<<{call}>>);"
        whole = f"    switch (p->kernel) {{\n{cases}\n{body}\n    }}" if cases else (
            f"    {names[0]}_{call}(<<{call}>>);"
        )  # fmt: skip
        text = text.replace(f"<<call {call}>>", whole.replace(f"<<{call}>>", arguments))
    return text


def _row(name: str, values: Iterable[float]) -> str:
    row = ", ".join(number(value) for value in values)
    return f"        static const float {name}[] = {{{row}}};"


def _normalise(program: Program, contract: Contract) -> str:
    """Statements that bring state and action into the network's units."""
    state, action = contract.state, contract.action
    lines = []
    if state.mean is not None and state.std is not None:
        lines += ["    {", _row("mean", state.mean), _row("std", state.std)]
        lines += ["        for (i = 0; i < PREFIX_STATE_SIZE; i++)"]
        lines += ["            state[i] = (state[i] - mean[i]) / std[i];", "    }"]
    if action.kind == "discrete":
        return "\n".join([*lines, "    (void)last_action;"])
    lines += ["    for (i = 0; i < PREFIX_ACTION_SIZE; i++) action[i] = last_action[i];"]
    if action.scale is not None and action.offset is not None:
        lines += ["    {", _row("scale", action.scale), _row("offset", action.offset)]
        lines += ["        for (i = 0; i < PREFIX_ACTION_SIZE; i++)"]
        lines += ["            action[i] = (action[i] - offset[i]) / scale[i];", "    }"]
    lines += [template("applied.c").rstrip()]
    return "\n".join(lines)


def _acts(contract: Contract) -> str:
    """The functions that give actions."""
    action = contract.action
    if action.kind == "discrete":
        return template("act_discrete.c")
    lines = []
    for name in ("scale", "offset", "low", "high"):
        values = getattr(action, name)
        if values is not None:
            lines.append(_row(name, values))
    if action.scale is not None and action.offset is not None:
        lines.append("        value = value * scale[i] + offset[i];")
    if action.low is not None:
        lines.append("        if (value < low[i]) value = low[i];")
    if action.high is not None:
        lines.append("        if (value > high[i]) value = high[i];")
    return filled(template("act_continuous.c"), {}, {"bound": "\n".join(lines)})


def _contract(contract: Contract) -> str:
    text = (MAGIC + contract.to_json()).encode("ascii")
    lines = ["static const char prefix_contract_text[] = {"]
    codes = [str(code) for code in (*text, 0)]
    lines += [",".join(codes[at : at + 24]) + "," for at in range(0, len(codes), 24)]
    return "\n".join([*lines, "};"])


def contract_in(text: str) -> str | None:
    """The contract in a file of C; None if there is none."""
    found = re.search(r"^static const char \w+_contract_text\[\] = \{\n([0-9,\n]+)\};$", text, re.M)
    if found is None:
        return None
    codes = bytes(int(code) & 0xFF for code in found[1].replace("\n", "").split(",") if code)
    head, end = MAGIC.encode(), codes.find(b"\0")
    if not codes.startswith(head) or end < 0:
        return None
    return codes[len(head) : end].decode("ascii")
