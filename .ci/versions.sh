# Other Pythons, where the machine has them. PyTorch's CPU build is for one Python only, so there the
# runtime runs what that one exported, and its actions must be the same.
source "$(dirname "$0")/common.sh"
enter main
pip install -c constraints.txt -e 'runtimes/python[cpu]' -e .
dt-export onnx --model hopper --graph step --output "$WORK/versions.onnx" >/dev/null
python .ci/actions.py "$WORK/versions.onnx" --write "$WORK/actions.npy"
deactivate
ran=()
for minor in 11 12 13 14; do
    # pyenv has commands for versions that are not switched on, so its folders are asked too
    for python in "$(command -v "python3.$minor" || true)" "$HOME"/.pyenv/versions/3."$minor".*/bin/python; do
        if [ -x "$python" ] && "$python" -c '' 2>/dev/null; then
            "$python" -m venv "$WORK/py3$minor"
            "$WORK/py3$minor/bin/pip" install -c constraints.txt 'runtimes/python[cpu]'
            "$WORK/py3$minor/bin/python" -W error -m compileall -q dt_export runtimes/python/dt_runtime
            "$WORK/py3$minor/bin/python" .ci/actions.py "$WORK/versions.onnx" --compare "$WORK/actions.npy"
            ran+=("$("$python" --version)")
            break
        fi
    done
done
printf 'ran on: %s\n' "${ran[@]}"
