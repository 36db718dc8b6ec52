//! The audio of one request: WAV, 16 kHz, mono, 16 bit, which every engine takes.

use std::io::Cursor;

use crate::resample::SAMPLE_RATE_HZ;

/// Encodes samples from -1 to 1.
pub fn encode(samples: &[f32]) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: SAMPLE_RATE_HZ,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = Cursor::new(Vec::with_capacity(44 + 2 * samples.len()));
    let mut writer = hound::WavWriter::new(&mut file, spec).expect("writes to memory");
    for &sample in samples {
        writer
            .write_sample(to_i16(sample))
            .expect("writes to memory");
    }
    writer.finalize().expect("writes to memory");
    file.into_inner()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "clamped to full scale before"
)]
pub(crate) fn to_i16(sample: f32) -> i16 {
    (sample.clamp(-1.0, 1.0) * f32::from(i16::MAX)).round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_back_as_they_were() {
        let bytes = encode(&[0.0, 0.5, -1.0, 2.0, f32::NAN]);
        let mut reader = hound::WavReader::new(&bytes[..]).unwrap();
        assert_eq!(
            (reader.spec().channels, reader.spec().sample_rate),
            (1, 16_000)
        );
        let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
        assert_eq!(samples, [0, 16_384, -32_767, 32_767, 0]);
    }

    #[test]
    fn nothing_is_a_valid_file() {
        assert_eq!(hound::WavReader::new(&encode(&[])[..]).unwrap().len(), 0);
    }
}
