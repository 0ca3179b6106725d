"""The inputs of a backbone's validation: new tokens after caches of every small length."""

from collections.abc import Iterator

import numpy as np
from dt_runtime.contract import Contract

from dt_export.graphs.backbone import PAST
from dt_export.validation.cases import Case

LENGTHS = (1, 2, 3, 7)  # new tokens; the graph is traced at 3 of them after 5 cached ones
PASTS = (0, 1, 5, 12)


def cases(contract: Contract) -> Iterator[Case]:
    """``length`` counts cached and new tokens, ``padding`` those that are masked."""
    for batch in (1, 3):
        for past in PASTS:
            for tokens in LENGTHS:
                total = past + tokens
                if total <= contract.context_length:
                    yield Case(f"{past} cached tokens, B = {batch}", batch, total)
        yield Case(f"5 cached tokens, left padding, B = {batch}", batch, 8, padding=3)


def inputs(contract: Contract, case: Case, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Fresh embeddings and caches; the number of cached tokens stands first in the group."""
    past = int(case.group.split()[0])
    tokens = case.length - past
    mask = np.ones((case.batch, case.length), np.int64)
    mask[0, : case.padding] = 0
    drawn = {"attention_mask": mask}
    drawn["position_ids"] = rng.integers(0, contract.context_length, (case.batch, tokens))
    for spec in contract.inputs:
        if spec.dtype == "float32":
            sizes = {"batch": case.batch, "tokens": tokens, PAST: past}
            drawn[spec.name] = rng.standard_normal(spec.sized(sizes))
    return {spec.name: drawn[spec.name].astype(spec.dtype) for spec in contract.inputs}
