"""The public names, as the README uses them."""

import subprocess
import sys

import dt_runtime
import pytest

import dt_export


def test_load_and_export_are_functions(checkpoint_path, tmp_path):
    checkpoint = dt_export.load(str(checkpoint_path), dt_export.Overrides(context_length=3))
    artifact, report = dt_export.export(checkpoint, "torchscript", tmp_path / "p.pt")
    assert report.passed and artifact.path.is_file()


@pytest.mark.parametrize("package", (dt_export, dt_runtime))
def test_everything_that_is_announced_is_there(package):
    assert all(hasattr(package, name) for name in package.__all__)
    with pytest.raises(AttributeError):
        _ = package.nothing_of_that_name


def test_importing_the_package_is_light():
    program = "import dt_export, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
