"""JSON, YAML and plain Python documents: wrong types, extreme numbers, depth, bombs."""

import copy
import json
import random
from typing import Any

import yaml

DIGITS = "@@"  # stands for an integer of 5,000 digits, which Python would not write as text

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 7, 10**6, 10**9, 2**31, 2**63, 2**64, -(2**63), 10**30,
    0.5, -0.0, 1e-300, 1e39, 1e308, -1e308, float("nan"), float("inf"), float("-inf"), 5e-324,
    "", "0", "1", "true", "nan", "relu", "cpu", "x" * 3000, "\x00", "\x1b[31m", "[/a]", "é\u202e",
    "$(touch $FUZZ_CANARY)", "this:X-v0", "os:system", "antigravity:x", "../../etc", "{0}", "%s",
    [], [None], [[]], [0], [1.0] * 5, [1.0, 2.0], ["a"], [float("nan")] * 5, [1e39] * 5, [0.0] * 5,
    [[1.0], [1.0, 2.0]], [True] * 2, [10**400] * 2, [2.0, 2.0], [-1.0, -1.0], [1e-45] * 5,
    {}, {"type": "none"}, {"type": None, "params": None}, {"type": [], "params": []},
    {"a": {"b": {}}}, {"type": "vector", "params": {"hidden_units": [10**9]}},
    {"type": "vector", "params": {"hidden_units": []}},
    {"type": "standard", "params": {"mean": "x", "std": None}}, DIGITS, "-" + DIGITS,
)  # fmt: skip


def paths(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a document, its containers included."""
    found = [at] if at else []
    if isinstance(document, dict):
        for key, inner in document.items():
            found += paths(inner, (*at, key))
    elif isinstance(document, list | tuple):
        for index, inner in enumerate(document):
            found += paths(inner, (*at, index))
    return found


def put(document: Any, at: tuple[Any, ...], value: Any) -> None:
    """Replace what stands at a path; tuples on the way become lists."""
    for key in at[:-1]:
        if isinstance(document[key], tuple):
            document[key] = list(document[key])
        document = document[key]
    document[at[-1]] = value


def remove(document: Any, at: tuple[Any, ...]) -> None:
    for key in at[:-1]:
        document = document[key]
    del document[at[-1]]


def odd(rng: random.Random, was: Any = None) -> Any:
    """An odd value, or what was there a little off."""
    number = isinstance(was, int | float) and not isinstance(was, bool) and abs(was) < 1e300
    if number and rng.random() < 0.4:
        off = (was + 1, was - 1, -was, was * 1000, was + 0.5, float(was), str(was), [was])
        return rng.choice(off)
    if isinstance(was, list) and was and rng.random() < 0.4:
        changed = list(was)
        changed[rng.randrange(len(was))] = rng.choice(ODD)
        return rng.choice((changed, was[:-1], was * 2, was[::-1], was[0]))
    return copy.deepcopy(rng.choice(ODD))


def edited(rng: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    """A copy with one to three edits."""
    document = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = paths(document)
        if not places:
            break
        at = rng.choice(places)
        way = rng.random()
        if way < 0.12:
            remove(document, at) if isinstance(at[-1], str) else put(document, at, odd(rng))
        elif way < 0.2:
            put(document, (rng.choice(("a", "", "__class__", "self", "state_shape")),), odd(rng))
        else:
            put(document, at, odd(rng, get(document, at)))
    return document


def get(document: Any, at: tuple[Any, ...]) -> Any:
    for key in at:
        document = document[key]
    return document


def dumps(document: Any) -> str:
    """JSON, with the integers of many digits written out."""
    many = "9" * 5000
    return json.dumps(document).replace(f'"{DIGITS}"', many).replace(f'"-{DIGITS}"', f"-{many}")


def as_python(document: Any) -> Any:
    """The same for documents that are pickled."""
    if isinstance(document, dict):
        return {key: as_python(inner) for key, inner in document.items()}
    if isinstance(document, list):
        return [as_python(inner) for inner in document]
    return 10**5000 if document in (DIGITS, "-" + DIGITS) else document


def text_of_json(rng: random.Random, text: str) -> tuple[bytes, str]:
    """What stands in the text rather than in the document."""
    deep = rng.choice((100, 3000, 200_000))
    ways = {
        "nesting": lambda: "[" * deep + "]" * deep,
        "objects": lambda: '{"a":' * deep + "1" + "}" * deep,
        "open nesting": lambda: text[:-1] + ', "a": ' + "[" * deep,
        "array": lambda: f"[{text}]",
        "scalar": lambda: rng.choice(("null", "1", '"x"', "[]", "{}", "true", "NaN", "9" * 5000)),
        "twice": lambda: text[:-1] + "," + text.lstrip()[1:],
        "comment": lambda: "// no\n" + text,
        "nothing": lambda: rng.choice(("", " ", "\x00", "\ufeff" + text)),
        "quotes": lambda: text.replace('"', "'"),
        "surrogate": lambda: text[:-1] + ', "a": "\\ud800"}',
        "surrogate key": lambda: text[:-1] + ', "\\ud800": 1}',
        "exponent": lambda: text[:-1] + ', "a": 1e99999}',
        "unicode": lambda: text.replace("a", "\u0430"),
    }
    name = rng.choice(list(ways))
    content = ways[name]().encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:
        return content.decode("utf-8", "replace").encode("utf-16"), f"{name} in utf-16"
    return content, name


def json_file(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    text = content.decode()
    if rng.random() < 0.2:
        return text_of_json(rng, text)
    return dumps(edited(rng, json.loads(text))).encode(), "json edit"


def alias_bomb(levels: int = 9, width: int = 9) -> str:
    lines = ["a0: &a0 [x]"]
    for level in range(1, levels + 1):
        aliases = ", ".join([f"*a{level - 1}"] * width)
        lines.append(f"a{level}: &a{level} [{aliases}]")
    return "\n".join(lines) + "\n"


def yaml_file(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    text, deep = content.decode(), rng.choice((100, 2000, 50_000))
    if rng.random() < 0.6:
        document = edited(rng, yaml.safe_load(text))
        return yaml_text(document).encode("utf-8", "surrogatepass"), "yaml edit"
    bomb = alias_bomb()
    ways = {
        "alias bomb": lambda: text + bomb,
        "alias bomb in use": lambda: text.replace("target_returns:", "was:") + bomb
        + "target_returns: *a9\n",
        "alias bomb as a name": lambda: text.replace("env_name:", "was:") + bomb
        + "env_name: *a9\n",
        "alias bomb as a number": lambda: text.replace("max_action:", "was:") + bomb
        + "max_action: *a9\n",
        "merge bomb": lambda: text + "b0: &b0 {k: v}\n" + "".join(
            f"b{i}: &b{i}\n  <<: [" + ", ".join([f"*b{i - 1}"] * 9) + "]\n" for i in range(1, 9)
        ),
        "recursion": lambda: "&a [*a]",
        "own value": lambda: text + "self: &s {self: *s}\n",
        "recursive targets": lambda: text.replace("target_returns:", "was:")
        + "target_returns: &t [*t]\n",
        "nesting": lambda: text + "a: " + "[" * deep + "]" * deep,
        "blocks": lambda: "\n".join(" " * i + "a:" for i in range(min(deep, 2000))),
        "digits": lambda: text.replace("num_heads: 2", "num_heads: " + "9" * 5000),
        "hexadecimal": lambda: text.replace("num_heads: 2", "num_heads: 0x" + "f" * 5000),
        "base sixty": lambda: text.replace("num_heads: 2", "num_heads: 1:0:0:0:0:0:0:0:0:0"),
        "date": lambda: text.replace("num_heads: 2", "num_heads: 2001-99-99"),
        "binary": lambda: text.replace("num_heads: 2", "num_heads: !!binary =="),
        "python": lambda: text + 'x: !!python/object/apply:os.system ["touch $FUZZ_CANARY"]\n',
        "python name": lambda: text + "x: !!python/name:os.system\n",
        "python module": lambda: text + "x: !!python/module:this\n",
        "set": lambda: text + "x: !!set {a, b}\n",
        "float": lambda: text.replace("num_heads: 2", "num_heads: !!float x"),
        "integer": lambda: text.replace("num_heads: 2", "num_heads: !!int x"),
        "no integer": lambda: text.replace("num_heads: 2", "num_heads: !!int ''"),
        "truth": lambda: text.replace("num_heads: 2", "num_heads: !!bool maybe"),
        "pairs": lambda: text + "x: !!omap [1]\n",
        "key": lambda: text + "[1]: 2\n",
        "key of a mapping": lambda: text + "{a: 1}: 2\n",
        "two documents": lambda: text + "---\n" + text,
        "list": lambda: "- 1\n",
        "nothing": lambda: "",
        "null bytes": lambda: text + "\x00",
        "infinite": lambda: text.replace("max_action: 1.5", "max_action: .inf"),
        "not a number": lambda: text.replace("reward_scale: 0.001", "reward_scale: .nan"),
    }  # fmt: skip
    name = rng.choice(list(ways))
    return ways[name]().encode(), f"yaml {name}"


def yaml_text(document: Any) -> str:
    """Safe YAML, with the integers of many digits written out."""
    return yaml.safe_dump(document).replace(f"'{DIGITS}'", "9" * 5000)
