#!/bin/sh
# Print an interpreter that EM Agent supports (3.11 to 3.14, with venv). $1: one that the user named.
set -u

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
}

has_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

if [ -n "${1:-}" ]; then
    supported "$1" || { echo "PYTHON=$1 is not a Python 3.11 to 3.14 that runs" >&2; exit 1; }
    candidates=$1
else
    candidates="python3.14 python3.13 python3.12 python3.11 python3 python"
fi

without_venv=""
for candidate in $candidates; do
    supported "$candidate" || continue
    if has_venv "$candidate"; then
        echo "$candidate"
        exit 0
    fi
    without_venv=${without_venv:-$candidate}
done

if [ -n "$without_venv" ]; then
    version=$("$without_venv" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "$without_venv has no venv module; run: apt-get install python$version-venv" >&2
else
    echo "no Python 3.11 to 3.14 found; install one, or name it: make PYTHON=/path/to/python3" >&2
fi
exit 1
