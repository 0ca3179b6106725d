# The lowest versions that pyproject.toml allows: the runtime's tests and an export.
# PyTorch is the exception: of it there is one CPU build here, the one in constraints.txt.
source "$(dirname "$0")/common.sh"
enter lowest
python .ci/lowest.py >"$WORK/lowest.txt"
cat "$WORK/lowest.txt"
pip install -r "$WORK/lowest.txt" -e 'runtimes/python[cpu]' -e . pytest pytest-xdist hypothesis jsonschema
pip check
(cd "$WORK" && dt-export onnx --model hopper --output lowest.onnx)
(cd "$WORK" && dt-export onnx --model hopper --graph step --output lowest_step.onnx)
bounded 900 pytest tests/dt_runtime
