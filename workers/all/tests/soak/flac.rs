//! Silent FLAC of any length, a frame of constant samples in 13 bytes
//! (<https://www.rfc-editor.org/rfc/rfc9639>).

pub const SAMPLE_RATE_HZ: u32 = 16_000;
const FRAME_SAMPLES: u16 = 16_384;
const BITS_PER_SAMPLE: u64 = 16;

/// A file of one channel and its exact length in milliseconds: whole frames, so a little more than
/// `seconds`.
pub fn silent(seconds: u32) -> (Vec<u8>, i64) {
    let frames = (seconds * SAMPLE_RATE_HZ).div_ceil(u32::from(FRAME_SAMPLES));
    let samples = u64::from(frames) * u64::from(FRAME_SAMPLES);
    let mut file = b"fLaC".to_vec();
    // The only metadata block, and its length.
    file.extend([0x80, 0, 0, 34]);
    file.extend([FRAME_SAMPLES.to_be_bytes(); 2].concat());
    // The sizes of frames are unknown, as is the MD5 at the end.
    file.extend([0; 6]);
    let one_channel = 0;
    let format =
        u64::from(SAMPLE_RATE_HZ) << 44 | one_channel << 41 | (BITS_PER_SAMPLE - 1) << 36 | samples;
    file.extend(format.to_be_bytes());
    file.extend([0; 16]);
    for number in 0..frames {
        file.extend(frame(number));
    }
    let duration_ms = samples * 1_000 / u64::from(SAMPLE_RATE_HZ);
    (file, i64::try_from(duration_ms).expect("it is short"))
}

fn frame(number: u32) -> Vec<u8> {
    // Sync code, 16,384 samples at 16 kHz, one channel of 16 bits.
    let mut frame = vec![0xff, 0xf8, 0xe5, 0x08];
    // Numbers are coded as UTF-8 codes characters.
    let number = char::from_u32(number).expect("fewer frames than characters before the gap");
    frame.extend(number.encode_utf8(&mut [0; 4]).bytes());
    frame.push(crc8(&frame));
    // A constant subframe, and its value.
    frame.extend([0, 0, 0]);
    let crc = crc16(&frame);
    frame.extend(crc.to_be_bytes());
    frame
}

fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| {
            (crc << 1) ^ if crc & 0x80 == 0 { 0 } else { 0x07 }
        })
    })
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x8005 }
        })
    })
}
