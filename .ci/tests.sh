# The README's last command with branch coverage, and the commands that take a while.
source "$(dirname "$0")/common.sh"
enter main
# Other programs that read our files: their tests are skipped without them.
pip install -c constraints.txt -e 'runtimes/python[cpu]' -e '.[interop]'
export PYTEST_ADDOPTS="--cov --cov-branch --cov-report=term:skip-covered"
readme "pip install -c constraints.txt -e 'runtimes/python[cpu]' -e '.[test]' && pytest"
unset PYTEST_ADDOPTS
[ -f hopper.onnx ] || dt-export onnx --model hopper
dt-export run hopper.onnx --env Hopper-v5 --episodes 2 --seed 0
dt-export bench --steps 50 --no-cold --sides transformers,eager,policy,step,step-4,step-int8
