"""A pytest plugin: test an exported policy in your own test suite.

It is there as soon as dt-export is installed. Name the artifact on the command line, or in your
pytest configuration:

    pytest --dt-artifact hopper.onnx --dt-model hopper

    [tool.pytest.ini_options]
    dt_artifact = "hopper.onnx"
    dt_model = "hopper"

and write tests with the fixtures ``dt_artifact`` and ``dt_policy``:

    def test_it_equals_its_checkpoint(dt_artifact):
        assert dt_artifact.validate().passed

    def test_the_first_action_is_within_the_bounds(dt_policy):
        dt_policy.reset(target_return=3000.0)
        action = dt_policy.act(np.zeros(dt_policy.contract.state.shape))
        assert np.abs(action).max() <= 1.0

With a model and no artifact, the model is exported once a session, to a temporary folder. With
neither, tests that use the fixtures fail: a release gate must not skip in silence. A checkpoint
that needs more facts gets them from your ``conftest.py``:

    @pytest.fixture(scope="session")
    def dt_overrides():
        return Overrides(stats=Path("checkpoints/stats.npz"), return_scale=1000.0)

``-p no:dt_export.testing`` switches the plugin off.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# PyTorch takes seconds to import, and this module is loaded in every test run, of any project. So
# whatever needs it is imported where it is used.
from dt_export.checkpoints.presets import PRESETS
from dt_export.errors import CheckError, UsageError
from dt_export.facts import Overrides

if TYPE_CHECKING:
    from dt_runtime import Contract, Episode, Policy

    from dt_export.validation.report import Report

OPTIONS = {
    "dt_artifact": "the exported file that dt_artifact and dt_policy open",
    "dt_model": "its checkpoint: a preset, a path or a Hugging Face id",
    "dt_env": "the Gymnasium environment of dt_artifact.play",
}
GROUP = "dt-export"


@dataclass(frozen=True)
class TestedArtifact:
    """The artifact under test. Its methods raise ``UsageError`` for what cannot be used.

    Args:
        path: the file.
        contract: what it says about itself.
        model: its checkpoint; None takes the one that the artifact names.
        environment: the name of a Gymnasium environment; None takes the contract's.
        overrides: facts that the checkpoint does not contain.
    """

    __test__ = False  # no class of tests, whatever its name begins with

    path: Path
    contract: "Contract"
    model: str | None = None
    environment: str | None = None
    overrides: Overrides = Overrides()

    def policy(self, **options: Any) -> "Policy":
        """A new policy; ``options`` are those of ``dt_runtime.Policy``, such as ``slots=1``."""
        from dt_runtime import ArgumentError, Policy

        from dt_export.targets import open_artifact

        engine = open_artifact(self.path, options.pop("provider", "cpu")).engine
        try:
            return Policy(engine, **options)
        except ArgumentError as error:
            raise UsageError(f"{self.path}: {error}") from None

    def validate(self, **options: Any) -> "Report":
        """Compare it with its checkpoint; ``options`` are those of ``dt_export.validate``.

        ``validate(environment="Hopper-v5", episodes=20)`` also plays episodes in closed loop.
        """
        from dt_export.validating import validate

        return validate(self.path, self.model, self.overrides, **options)

    def play(
        self, episodes: int = 1, *, target_return: float | None = None, seed: int | None = 0
    ) -> "list[Episode]":
        """Play episodes in the environment; episode ``i`` is reset with ``seed + i``.

        Raises:
            UsageError: there is no environment, or it does not fit the policy.
            CheckError: the policy put out numbers that are not finite.
        """
        from dt_export.evaluation.environment import make_environment
        from dt_export.evaluation.episodes import play

        environment = make_environment(self.environment, self.contract.environment)
        return play(self.policy(), environment, episodes, target_return, seed)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup(GROUP)
    for name, what in OPTIONS.items():
        flag = "--" + name.replace("_", "-")
        group.addoption(flag, dest=name, default=None, metavar=name[3:].upper(), help=what)
        parser.addini(name, f"{what} (without {flag})")


@pytest.fixture(scope="session")
def dt_overrides() -> Overrides:
    """Facts that the checkpoint does not contain: replace this fixture in your conftest.py."""
    return Overrides()


@pytest.fixture(scope="session")
def dt_artifact(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    dt_overrides: Overrides,
) -> TestedArtifact:
    """The artifact of ``--dt-artifact``, or one that is exported from ``--dt-model``."""
    config = request.config
    named, model = _path(config, "dt_artifact"), _model(config)
    with _reported():
        if named is not None:
            path = Path(named)
        elif model is not None:
            path = _exported(model, dt_overrides, tmp_path_factory.mktemp("dt-export"))
        else:
            raise UsageError(
                "no artifact to test: pass --dt-artifact FILE, or --dt-model MODEL to export one, "
                "or set dt_artifact or dt_model in your pytest configuration"
            )
        from dt_export.targets import open_artifact

        contract = open_artifact(path, "cpu").contract
    return TestedArtifact(path, contract, model, _option(config, "dt_env"), dt_overrides)


@pytest.fixture
def dt_policy(dt_artifact: TestedArtifact) -> "Policy":
    """A new ``dt_runtime.Policy`` of the artifact for each test, on the CPU with one row."""
    with _reported():
        return dt_artifact.policy()


def _option(config: pytest.Config, name: str) -> str | None:
    """What the command line says, or else the configuration."""
    return config.getoption(name) or config.getini(name) or None


def _path(config: pytest.Config, name: str) -> str | None:
    """The file of an option: relative to the current folder, or to the configuration's own."""
    named = _option(config, name)
    if named is None or config.getoption(name):
        return named
    folder = config.inipath.parent if config.inipath else config.rootpath
    return str(folder / named)


def _model(config: pytest.Config) -> str | None:
    """A preset, a path or a Hugging Face id."""
    named, path = _option(config, "dt_model"), _path(config, "dt_model")
    return path if path and named not in PRESETS and Path(path).exists() else named


def _exported(model: str, overrides: Overrides, folder: Path) -> Path:
    """An ONNX file of the model, in the folder; the export validates it."""
    from dt_export.checkpoints import load
    from dt_export.exporting import export

    artifact, _ = export(load(model, overrides), "onnx", folder / "policy.onnx")
    return artifact.path


@contextmanager
def _reported() -> Iterator[None]:
    """Fail with the message alone: a traceback of ours would not help."""
    try:
        yield
        return
    except (UsageError, CheckError) as error:
        message = str(error)
    pytest.fail(message, pytrace=False)
