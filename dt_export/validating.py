"""Is an artifact equal to its checkpoint? ``dt-export validate`` as a function."""

from collections.abc import Callable
from pathlib import Path

from dt_export.facts import Overrides
from dt_export.validation import Report, check
from dt_export.validation.pairing import pair


def validate(
    artifact: Path,
    model: str | None = None,
    overrides: Overrides | None = None,
    *,
    provider: str = "cpu",
    reference: str = "eager",
    seed: int | None = None,
    precision: str | None = None,
    on_case: Callable[[int, int], None] | None = None,
) -> Report:
    """Compare an artifact with the checkpoint that it was made from.

    Args:
        artifact: an exported file of any target.
        model: the checkpoint: a preset, a path or a Hugging Face id. By default the one that the
            artifact names.
        overrides: facts that the checkpoint does not contain, as for ``load``.
        provider: the execution provider to run on.
        reference: ``eager`` PyTorch, or the installed ``transformers``.
        seed: seed of the inputs. By default they are new at every call.
        precision: the precision you exported in. Others than ``fp32`` have wider tolerances, which
            apply only if you pass them here.
        on_case: called with (cases done, cases in all).

    Returns:
        The report; ``report.passed`` says whether they are equal.

    Raises:
        UsageError: the artifact or the checkpoint cannot be read, or the provider or the reference
            is not available.
    """
    opened, checkpoint = pair(Path(artifact), model, overrides or Overrides(), provider)
    return check(
        opened,
        checkpoint,
        seed=seed,
        reference_name=reference,
        precision=precision,
        on_case=on_case,
    )
