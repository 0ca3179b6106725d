# The recipe of samples/ci as a user has it: in a folder of its own, with the bundled policy. Then with a
# broken artifact, which must fail and still leave its reports.
source "$(dirname "$0")/common.sh"
sample=$PWD/samples/ci
page=$PWD/docs/validate-in-ci.md
enter main
pip install -c constraints.txt -e 'runtimes/python[cpu]' -e '.[test,report]'
mkdir -p "$WORK/gate" && cd "$WORK/gate"
cp "$sample/validate.sh" "$sample/test_policy.py" .

reports_are_there() {
    for report in validation.json validation.xml validation.html contract.json version.txt; do
        [ -s "reports/$report" ] || { echo "there is no reports/$report" >&2; exit 1; }
    done
}

shown() { # runs a command that docs/validate-in-ci.md shows word for word
    grep -qxF "$1" "$page" || { echo "$page does not have the line: $1" >&2; exit 1; }
    echo "\$ $1"
    bounded 300 bash -c "$1"
}

shown 'sh validate.sh hopper'
reports_are_there
shown 'REPORTS=step-reports ARTIFACT=step.onnx EXPORT="--graph step" sh validate.sh hopper'
shown 'pytest test_policy.py --dt-artifact policy.onnx --dt-model hopper --junit-xml reports/tests.xml'

rm -r reports
python - <<'PYTHON' # one weight in a thousand, 1 % larger
import onnx
from onnx import numpy_helper

model = onnx.load("policy.onnx")
weight = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
values = numpy_helper.to_array(weight).copy()
values.reshape(-1)[::1000] *= 1.01
weight.CopyFrom(numpy_helper.from_array(values, weight.name))
onnx.save(model, "policy.onnx")
PYTHON
code=0
bounded 300 sh validate.sh hopper >failed.txt 2>&1 || code=$?
if [ $code != 1 ]; then
    cat failed.txt
    echo "a broken artifact gave exit code $code, expected 1" >&2
    exit 1
fi
reports_are_there
echo "a broken artifact fails with exit code 1, and its reports are there"

# What surrounds the gate: the pytest plugin, the sample's own steps, workers that die, renderers.
cd "$sample/../.."
debian chromium libegl1 libgl1-mesa-dri
bounded 400 pytest -m gate

# The validator itself: every broken artifact must be rejected.
bounded 600 pytest -m mutations tests/mutations/test_mutations.py -n 2 --dist worksteal
