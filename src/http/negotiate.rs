//! Which of several formats a caller takes.

/// The acceptable format with the greatest quality, the first of equals
/// ([RFC 9110, 12.5.1](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1)).
///
/// `formats` names media types and ranges in lower case, each with what it stands for.
pub fn preferred<T: Copy>(accept: &str, formats: &[(&str, T)]) -> Option<T> {
    let mut best: Option<(f32, T)> = None;
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().unwrap_or_default().to_ascii_lowercase();
        let Some((_, format)) = formats.iter().find(|(name, _)| *name == named) else {
            continue;
        };
        let quality = parts
            .find_map(|part| part.strip_prefix("q="))
            .map_or(1.0, |quality| quality.trim().parse().unwrap_or(0.0));
        if quality > best.map_or(0.0, |(best, _)| best) {
            best = Some((quality, *format));
        }
    }
    best.map(|(_, format)| format)
}
