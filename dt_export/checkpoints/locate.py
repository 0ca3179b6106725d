"""From what the user typed after ``--model`` to files on this disk: preset, path or hub id."""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from dt_export.checkpoints.presets import BUNDLED, PRESETS
from dt_export.checkpoints.reading.damage import cause
from dt_export.errors import CheckpointError, UsageError
from dt_export.facts import SIDECAR, Facts
from dt_export.process.terminal import one_line

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
EXPORTED = (".onnx", ".ort")
FILES = ("config.json", SIDECAR, "state_mean.npy", "state_std.npy")
WAY_OUT = "a local directory works offline, and so does the bundled preset 'hopper'"


@dataclass(frozen=True)
class Located:
    path: Path
    name: str  # a short one, for file names
    model: str  # for the contract: never a path on this machine
    revision: str | None = None
    facts: Facts = Facts()  # what the preset knows


def locate(model: str, revision: str | None = None) -> Located:
    """Find a checkpoint.

    Raises:
        CheckpointError: it is no preset, no path and not on the hub.
    """
    preset = PRESETS.get(model)
    if preset is not None and preset.bundled:
        if revision is not None:
            raise UsageError(f"--revision {revision}: {model!r} is bundled and has no revisions")
        return Located(BUNDLED / model, model, f"bundled:{model}", facts=preset.facts)
    if preset is not None:
        path, commit = download(preset.source, revision)
        return Located(path, model, preset.source, commit, preset.facts)
    local = _path(model)
    if local is not None:
        if revision is not None:
            raise UsageError(f"--revision {revision}: {model} is a local path, drop the flag")
        if local.suffix in EXPORTED and local.is_file():
            raise CheckpointError(
                f"--model {model} is an exported file, not a checkpoint: pass the checkpoint that "
                "it was made from"
            )
        name = local.resolve().name if local.is_dir() else local.resolve().stem
        shown = "".join(character if character.isprintable() else "?" for character in name)
        return Located(local, name, shown)  # a contract holds printable text only
    if HUB_ID.fullmatch(model) and not model.startswith("."):
        path, commit = download(model, revision)
        return Located(path, model.split("/")[1], model, commit)
    close = difflib.get_close_matches(model, PRESETS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"presets: {', '.join(PRESETS)}"
    raise CheckpointError(
        f"--model {one_line(model)}: not a preset, not an existing path, and not a Hugging Face id "
        f"(owner/name); {hint}"
    )


def _path(model: str) -> Path | None:
    """The path that the user means, None if there is nothing.

    Raises:
        CheckpointError: the system refuses to look.
    """
    try:
        path = Path(model).expanduser()
        path.lstat()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, RuntimeError, ValueError) as error:  # ~nobody, a loop of links, a NUL
        raise CheckpointError(f"--model {model}: {cause(error)}") from None
    return path


def download(repo: str, revision: str | None) -> tuple[Path, str]:
    """Fetch a checkpoint's files with huggingface_hub: their folder and the commit.

    Raises:
        CheckpointError: the hub cannot be reached, or has no such repository or revision.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    def fetch(*weights: str) -> Path:
        patterns = [*FILES, *weights]
        return Path(snapshot_download(repo, revision=revision, allow_patterns=patterns))

    at = f" at revision {revision}" if revision else ""
    try:
        path = fetch("model.safetensors")
        if not (path / "model.safetensors").is_file():
            path = fetch("pytorch_model.bin")
    except RevisionNotFoundError:
        raise CheckpointError(f"the hub has {repo!r}, but no revision {revision!r}") from None
    except GatedRepoError:
        raise CheckpointError(
            f"{repo!r} is gated: run `hf auth login` and ask for access"
        ) from None
    except (RepositoryNotFoundError, HFValidationError):
        raise CheckpointError(
            f"the hub has no repository {repo!r} that you may read; check the spelling; {WAY_OUT}"
        ) from None
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise CheckpointError(
            f"{repo!r} is not a local path. Tried it{at} as a Hugging Face id, in the local cache "
            f"and on the hub, which could not be reached ({type(error).__name__}: "
            f"{one_line(reason[:160])}); {WAY_OUT}"
        ) from None
    return path, path.name
