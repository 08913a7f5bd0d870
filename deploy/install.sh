#!/bin/sh
# install.sh PYTHON LOCK MEMBER...: the locked packages, then the workspace itself, into PYTHON's environment.
set -eu
python=$1
lock=$2
shift 2

echo "installing $lock"
"$python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$lock"

editable=""
for member in "$@"; do
    editable="$editable -e ./$member"
done
# shellcheck disable=SC2086  # one option per member
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $editable
