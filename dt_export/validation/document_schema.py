"""The JSON Schema of what `dt-export validate --json` writes, made of its dataclasses.

python -m dt_export.validation.document_schema > docs/validation.schema.json
"""

import json
from dataclasses import fields

from dt_export.files.dataclass_json import JsonSchema, schema, value_schema
from dt_export.graphs.trials import Case
from dt_export.validation.closed_loop import ActionTrace, ClosedLoop, Outcome, Pair
from dt_export.validation.diagnosis import Fault
from dt_export.validation.document import FORMAT
from dt_export.validation.latency import Latency
from dt_export.validation.levels import Comparison, Level
from dt_export.validation.report import Drift, Replayed, Report
from dt_export.validation.trace import Along, TraceResult

PARTS = (
    Comparison, Case, Level, Drift, Fault, Replayed, TraceResult, Along, ClosedLoop, Pair,
    ActionTrace, Outcome, Latency,
)  # fmt: skip

# By dataclass and field: what it means, in which unit. Errors are absolute on bounded outputs, else
# relative to the largest number of the output.
MEANINGS: dict[str, dict[str, str]] = {
    "Report": {
        "comparisons": "Every output in every case of the open loop.",
        "differences": "Facts on which contract and checkpoint disagree, in words.",
        "levels": "What each output may be off, and the rounding that this comes from.",
        "tolerance": "The user's own bound; null for bounds from the model's rounding.",
        "reference": "What was compared with: eager or transformers.",
        "seed": "Of the inputs.",
        "precision": "What the graph computes in.",
        "counted": "The precision whose rounding the bounds come from.",
        "stated": "The precision that the user stated.",
        "closed_loop": "Episodes, if any were played.",
        "not_played": "At export: why a smaller precision was not played.",
        "notes": "What was not checked.",
        "golden": "A golden episode, if one was replayed.",
        "trace": "Recorded episodes, if any were replayed.",
    },
    "Comparison": {
        "case": "The inputs.",
        "output": "The output's name.",
        "error": "The largest error; null if it is not finite, or nothing came out.",
        "abs_error": "The same, absolute.",
        "expected": "The reference's number where they differ most.",
        "seen": "The artifact's number there.",
        "problem": "What went wrong where there was nothing to compare.",
        "rms": "The root mean square of the errors.",
        "rounding": "The largest distance of eager PyTorch, in the counted precision, to float64.",
        "rounding_rms": "The root mean square of these distances.",
        "count": "How many numbers were compared.",
    },
    "Case": {
        "group": "Its row in the table.",
        "batch": "Rows.",
        "length": "Timesteps, padding included; of a backbone tokens.",
        "padding": "The longest left padding among its rows, in timesteps.",
        "kind": "random, late (the last timesteps of the longest episode) or extreme (inputs).",
        "cached": "Of a backbone: tokens in the cache.",
        "slots": "Of a rollout: staggered caches.",
        "resets": "Of a rollout: whether rows begin new episodes.",
        "full": "Of a rollout: whether the episode has had more than K timesteps.",
    },
    "Level": {
        "output": "The output's name.",
        "extreme": "Whether it is for extreme inputs.",
        "rounding": "The largest rounding over all cases.",
        "rounding_rms": "Its root mean square.",
        "bound": "The largest error allowed.",
        "bound_rms": "The largest root mean square allowed, of a group of cases.",
    },
    "Drift": {
        "group": "The group of cases.",
        "output": "The output's name.",
        "rms": "The root mean square of its errors.",
        "rounding_rms": "That of the rounding.",
        "bound": "The largest allowed.",
    },
    "Fault": {
        "kind": "What it points at.",
        "message": "The likely cause, where to look, and what to do next.",
    },
    "Replayed": {
        "file": "The recording.",
        "acts": "Calls of act that were compared.",
        "max_abs_error": "The largest absolute error of an action.",
        "tolerance": "The largest allowed.",
        "mismatches": "Rows and calls in which anything differs.",
        "first_mismatch": "The first of them, in words.",
    },
    "TraceResult": {
        "source": "The file or dataset.",
        "episodes": "One entry for each.",
        "rounding": "The largest rounding on all windows.",
        "bound": "The largest error allowed.",
    },
    "Along": {
        "episode": "Its number, from 0.",
        "target_return": "The raw return that was asked for.",
        "errors": "By timestep, the largest error of an action.",
        "rounding": "By timestep, that of eager PyTorch.",
        "problem": "What ended it before its last step.",
    },
    "ClosedLoop": {
        "environment": "Its name.",
        "baseline": "The other side: eager (PyTorch) or fp32 (of the same graph).",
        "allowed": "How far mean returns may be apart.",
        "pairs": "Every seed and target.",
        "traces": "The actions of the first episode of each target.",
        "relative": "Whether allowed is a fraction of the baseline's mean return.",
        "confidence": "Of the intervals.",
        "first_look": "Episodes at the first look, if more were played until sure.",
        "forced_bound": "The largest error allowed on the same observations.",
        "latency": "Of the artifact's Policy.act.",
    },
    "Pair": {
        "seed": "Of both episodes.",
        "target_return": "Raw.",
        "expected": "The baseline's raw return.",
        "seen": "The artifact's.",
        "expected_length": "Steps of the baseline's episode.",
        "length": "Steps of the artifact's.",
        "expected_terminated": "Whether the baseline's episode ended before its time limit.",
        "terminated": "The same of the artifact's.",
        "parted": "The first step at which their actions are visibly apart; null if never.",
        "forced_error": "The largest error of an action on the baseline's observations.",
        "problem": "What crashed, or was not finite.",
        "same_start": "Whether both episodes began with the same observation.",
    },
    "ActionTrace": {
        "seed": "Of the episode.",
        "target_return": "Raw.",
        "expected": "The baseline's actions, [steps, A], or indices.",
        "seen": "The artifact's on the same observations.",
        "bound": "The largest error allowed.",
    },
    "Outcome": {
        "target_return": "Raw.",
        "episodes": "Pairs played.",
        "expected": "The baseline's mean return.",
        "seen": "The artifact's.",
        "difference": "The mean difference, artifact minus baseline.",
        "low": "Lower end of its confidence interval; null if there is none.",
        "high": "Upper end.",
        "confidence": "Of the interval.",
        "margin": "The difference allowed, in raw return.",
        "identical": "Episodes whose actions were never visibly apart.",
        "verdict": "passed, failed or undecided.",
        "needed": "About how many episodes would settle it.",
        "problems": "Pairs with a problem.",
        "forced_error": "The largest of all pairs.",
    },
    "Latency": {
        "steps": "Calls.",
        "p50_us": "Median, in microseconds.",
        "p99_us": "99th percentile.",
        "max_us": "The longest.",
        "edges_us": "Edges of the histogram, one more than counts.",
        "counts": "Calls in each bin.",
    },
}


def document_schema() -> JsonSchema:
    """JSON Schema (draft 2020-12) of the document."""
    report = schema(Report, MEANINGS, leave_out=("contract",))
    verdict = {"type": "boolean", "description": "Whether it passed."}
    properties = {
        "producer": {"type": "string", "description": "dt-export and its version."},
        "format": {"type": "string", "description": "Version of this document, major.minor."},
        "artifact": {"type": "string", "description": "The path as it was given."},
        "provider": {"description": "What ran it.", **value_schema(str | None)},
        "versions": {
            "type": "object",
            "description": "Of the packages involved.",
            "additionalProperties": {"type": "string"},
        },
        "passed": {"type": "boolean", "description": "The verdict. Undecided is not passed."},
        "cases": {"type": "integer", "description": "How many there are."},
        "diagnosis": {
            "description": "What the failures point at.", **value_schema(tuple[Fault, ...])
        },
        "drifts": {
            "description": "Groups that are off on the whole.", **value_schema(tuple[Drift, ...])
        },
        **report["properties"],
        "contract": {"type": "object", "description": "The artifact's: see contract.schema.json."},
    }  # fmt: skip
    parts = {part.__name__: schema(part, MEANINGS) for part in PARTS}
    for name in ("Replayed", "TraceResult", "ClosedLoop"):
        parts[name]["properties"]["passed"] = verdict
        parts[name]["required"] = [*parts[name]["required"], "passed"]
    loop = parts["ClosedLoop"]
    loop["properties"]["outcomes"] = {
        "description": "What the pairs of each target say.", **value_schema(tuple[Outcome, ...])
    }  # fmt: skip
    loop["required"] = [*loop["required"], "outcomes"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Report of dt-export validate",
        "description": f"Format {FORMAT}. Ignore unknown fields. Numbers that are not finite are "
        "null. Errors are absolute on bounded outputs, else relative to the largest number.",
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "$defs": parts,
    }


def undescribed() -> list[str]:
    """Fields without a meaning, as ``Class.field``."""
    return [
        f"{part.__name__}.{field.name}"
        for part in (Report, *PARTS)
        for field in fields(part)
        if field.name != "contract" and field.name not in MEANINGS[part.__name__]
    ]


if __name__ == "__main__":
    print(json.dumps(document_schema(), indent=2))
