# Wheels and sdists of both distributions; then the main job from the wheels, far from the checkout.
source "$(dirname "$0")/common.sh"
constraints=$PWD/constraints.txt
enter build
pip install -c constraints.txt build
for project in . runtimes/python; do # the wheel is built from the sdist
    python -m build --outdir "$WORK/dist" "$project" >"$WORK/build.log" 2>&1 || { cat "$WORK/build.log"; exit 1; }
done
(cd "$WORK/dist" && ls -sh)
deactivate

enter wheels
runtime=$(echo "$WORK"/dist/dt_runtime-*.whl)
pip install -c "$constraints" "$runtime[cpu]" "$WORK"/dist/dt_export-*.whl
mkdir -p "$WORK/elsewhere" && cd "$WORK/elsewhere"
python - <<'PYTHON'
from importlib.resources import files

for package in ("dt_export", "dt_runtime"):
    assert "site-packages" in str(files(package)), files(package)
    assert files(package).joinpath("py.typed").is_file(), f"{package} has no py.typed"
PYTHON
dt-export --version
dt-export doctor
dt-export onnx --model hopper
dt-export onnx --model hopper --graph step
dt-export validate hopper.onnx --model hopper
dt-export inspect hopper_step.onnx >/dev/null
