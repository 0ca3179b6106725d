# The README's last command, branch coverage, and the commands that take a while.
source "$(dirname "$0")/common.sh"
enter main
# Other programs that read our files: their tests are skipped without them.
pip install -c constraints.txt -e 'runtimes/python[cpu]' -e '.[interop]'
readme "pip install -c constraints.txt -e 'runtimes/python[cpu]' -e '.[test]' && pytest"
# Tracing doubles the time of a test, so coverage is measured where tests are fast, and without those
# that interrupt a step at any moment: they may hit coverage's own locks. It measures and checks nothing.
bounded 150 pytest --cov --cov-branch --cov-report=term:skip-covered \
    tests/dt_runtime tests/dt_export/checkpoints/reading tests/dt_export/files \
    --ignore tests/dt_runtime/test_retries.py --ignore tests/dt_runtime/test_interrupts.py \
    --ignore tests/dt_runtime/test_threads.py || echo "branch coverage was not measured to its end"
[ -f hopper.onnx ] || dt-export onnx --model hopper
dt-export run hopper.onnx --env Hopper-v5 --episodes 2 --seed 0
dt-export bench --steps 50 --no-cold --sides transformers,eager,policy,step,step-4,step-int8
