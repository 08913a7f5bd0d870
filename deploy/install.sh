#!/bin/sh
# install.sh PYTHON LOCK MEMBER...: the locked packages, then the workspace itself, into PYTHON's environment.
set -eu
python=$1
lock=$2
shift 2

"$python" -m pip --version >/dev/null 2>&1 || {
    echo "$python has no pip; remove its environment and try again: make clean" >&2
    exit 1
}
echo "installing $lock"
"$python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$lock"

editable=""
for member in "$@"; do
    editable="$editable -e ./$member"
done
# shellcheck disable=SC2086  # one option per member
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $editable
