#!/bin/sh
# The whole line on synthetic heart sounds: train, export, check, predict, time.
set -eu
# Only what this script makes.
rm -rf demo/run demo/bundle demo/recording.wav demo/recording.png demo/bundle.bench.json demo/bundle.report.html
step() { printf '\n$ tinyml %s\n' "$*" >&2; tinyml "$@"; }

step train synthetic --out demo/run
step export demo/run --target rpi --out demo/bundle
step verify demo/bundle
python examples/make_recording.py demo/recording.wav
step predict demo/bundle demo/recording.wav --plot demo/recording.png
step bench demo/bundle --repeats 3 --runs 50
step report demo/bundle --data auto

cat >&2 <<'END'

The bundle is demo/bundle, its scalogram demo/recording.png, its report demo/bundle.report.html.
What next:
  tinyml inspect demo/bundle                 what is in it
  tinyml predict demo/bundle YOUR.wav        any rate, mono or stereo
  tinyml device add mypi pi@HOST             your Raspberry Pi over ssh; then:
  tinyml bench demo/bundle --device mypi     compare its outputs, and time it there
  or copy demo/bundle to the board;          pip install ai-edge-litert numpy
  python3 run.py RECORDING.wav               any .wav at 4 kHz; numpy and LiteRT only
END
