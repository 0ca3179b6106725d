#!/bin/sh
# Export a policy, prove the file equal to its checkpoint, and keep the reports, whatever comes out.
#
#     sh validate.sh MODEL [FLAGS FOR export AND validate]
#     sh validate.sh checkpoints/robot --stats checkpoints/stats.npz
#
# Exit code 0: equal, 1: not equal, 2: usage error. These variables change what it does:
#
#     ARTIFACT    the file; exported if it is not there yet       (default: policy.onnx)
#     REPORTS     the folder of the reports                       (default: reports)
#     EXPORT      flags for the export alone, such as "--graph step"
#     VALIDATE    flags for the validation alone, such as "--env Hopper-v5 --episodes 20"
set -u

if [ $# -lt 1 ]; then
    echo "usage: sh validate.sh MODEL [FLAGS]" >&2
    exit 2
fi
model=$1
shift
artifact=${ARTIFACT:-policy.onnx}
reports=${REPORTS:-reports}
mkdir -p "$reports" || exit 2

if [ ! -e "$artifact" ]; then
    # The export validates too, and writes nothing if the file is not equal.
    # shellcheck disable=SC2086  # flags are words
    dt-export onnx --model "$model" --output "$artifact" ${EXPORT:-} "$@" || exit
fi

# A second time, with new inputs and in a new process, as a release should be.
# shellcheck disable=SC2086
dt-export validate "$artifact" --model "$model" ${VALIDATE:-} "$@" \
    --json "$reports/validation.json" \
    --junit "$reports/validation.xml" \
    --report "$reports/validation.html"
code=$?

# What was checked, for whoever reads the reports later.
dt-export inspect "$artifact" --json >"$reports/contract.json"
dt-export --version >"$reports/version.txt"
echo "reports are in $reports"
exit $code
