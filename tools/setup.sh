#!/bin/sh
# Make a virtual environment with the package, its extras and the development tools.
# Says what the machine lacks. usage: setup.sh FOLDER   (PYTHON names the interpreter)
set -eu
venv=$1
fail() { echo "setup: $1" >&2; [ -z "${2:-}" ] || echo "hint: $2" >&2; exit 1; }

good() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; }
for python in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
    good "$python" && break
    python=
done
[ -n "$python" ] || fail "no Python 3.11 to 3.13 is here (python3 is $(python3 --version 2>&1))" \
    "install one, or: make setup PYTHON=/path/to/python3.12"
"$python" -c 'import venv, ensurepip' 2>/dev/null || fail "$python has no venv module" \
    "on Debian and Ubuntu: apt install python3-venv"
free=$(df -Pk . | awk 'NR == 2 {print $4}')
[ "$free" -gt 4000000 ] || fail "$((free / 1024)) MB of disk are free here, the set-up takes 4 GB"

rm -rf "$venv"
"$python" -m venv "$venv"
log="$venv/setup.log"
echo "setup: $("$python" --version) -> $venv (about 80 s; log in $log)" >&2
install() {
    # shellcheck disable=SC2086
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-compile -q -c constraints.txt $1 \
        >>"$log" 2>&1 || { tail -n 5 "$log" >&2; fail "pip could not install $1" "see $log"; }
}
# All cores byte-compile, pip has one. The tests of packages are never imported; what cannot be
# compiled is a template.
compile() { "$venv/bin/python" -m compileall -qq -j 0 -x '/tests?/' "$@" || true; }
# torch goes first: an unpinned one would bring gigabytes of CUDA along.
install "torch==$(sed -n 's/^torch==//p' constraints.txt)"
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
compile "$site" & # while pip unpacks the others
install "-e .[all,dev]"
wait
compile "$site" tinyml
