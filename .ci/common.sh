# What the steps share: the repository as working directory, a folder for environments, quiet pip.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -z "${WORK:-}" ]; then # a step on its own
    WORK=$(mktemp -d)
    trap 'rm -rf "$WORK"' EXIT
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_QUIET=1 COLUMNS=120 NO_MKDOCS_2_WARNING=1

enter() { # a fresh environment of this name, or the one that an earlier step made
    [ -d "$WORK/$1" ] || "${2:-python3}" -m venv "$WORK/$1"
    # shellcheck source=/dev/null
    source "$WORK/$1/bin/activate"
}

bounded() { # runs a command for so many seconds at most: CI that hangs is CI that fails
    timeout --kill-after=30 "$@"
}

readme() { # runs a command that README.md shows word for word, for half an hour at most
    grep -qxF "$1" README.md || { echo "README.md does not have the line: $1" >&2; exit 1; }
    echo "\$ $1"
    bounded 1800 bash -c "$1"
}

debian() { # installs packages that are missing, where that can be done; else says what is skipped
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] && bounded 300 apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive bounded 600 apt-get install -qq --no-install-recommends \
            "${missing[@]}" >/dev/null; then
        echo "installed: ${missing[*]}"
    else
        echo "not installed, so tests that need them are skipped: ${missing[*]}"
    fi
}
