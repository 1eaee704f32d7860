#!/bin/sh
# Build the wheel, install it alone in an empty environment outside the checkout, and use
# the command line there: what needs no extra works, what needs one says which.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$BUILD" -m build --wheel --outdir "$work/dist" . >"$work/build.log" 2>&1 ||
    { tail -n 20 "$work/build.log" >&2; exit 1; }
"$BUILD" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --disable-pip-version-check -q -c constraints.txt "$work"/dist/*.whl
cp -r tests/golden/bundle "$work/bundle"
cd "$work"
tinyml=$work/venv/bin/tinyml
say() { echo "wheel-test: $*"; }

say "help, version";      "$tinyml" --help >/dev/null; "$tinyml" --version
say "models";             "$tinyml" models --json | grep -q '"parameters": 5435'
say "targets";            "$tinyml" targets | grep -q rpi4
say "doctor";             "$tinyml" doctor >/dev/null
say "inspect a manifest"; "$tinyml" inspect bundle >/dev/null
for extra in train:"train synthetic --out run" tflite:"predict bundle x.wav"; do
    say "missing extra ${extra%%:*}"
    # shellcheck disable=SC2086
    if "$tinyml" ${extra#*:} 2>err; then echo "worked without its extra" >&2; exit 1; fi
    grep -q "pip install 'tinyml-deploy\[${extra%%:*}\]'" err || { cat err >&2; exit 1; }
    ! grep -q Traceback err || { cat err >&2; exit 1; }
done
say "ok: $(ls dist)"
