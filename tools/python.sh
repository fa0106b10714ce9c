#!/bin/sh
# Prints a Python that runs, is 3.11 or newer, and can make a virtual environment.
# A name on PATH proves nothing: a version manager's shim may refuse to run, and a distribution may ship no ensurepip.
set -u
works() {
    "$1" -c 'import sys; assert sys.version_info >= (3, 11); import ensurepip, venv' >/dev/null 2>&1
}
for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3 python \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[1-9]*/bin/python; do
    if works "$candidate"; then
        echo "$candidate"
        exit 0
    fi
done
echo "No Python from 3.11 on that can make virtual environments was found. Install one, or say where it is: make PYTHON=…" >&2
echo "(On Debian and Ubuntu the package python3-venv may be what is missing.)" >&2
exit 1
