# The README's first command in a fresh environment, and what a newcomer does next.
source "$(dirname "$0")/common.sh"
enter main
readme "pip install -c constraints.txt -e 'runtimes/python[cpu]' -e . && dt-export onnx --model hopper"
dt-export validate hopper.onnx --model hopper
