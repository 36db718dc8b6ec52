//! The lines of a body, as they arrive.

use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream, Bytes};
use futures::StreamExt as _;

use super::super::problem::ApiError;
use crate::calls::MAX_RECORD_BYTES;
use crate::config;

/// A line that is not blank.
#[derive(Debug)]
pub(super) struct Line {
    /// From 1, blank lines counted.
    pub(super) number: usize,
    /// Its bytes, unless there are too many.
    pub(super) bytes: Result<Vec<u8>, ApiError>,
}

/// Reads lines one by one; no more than a line and what the network brought at once is held.
pub(super) struct Lines {
    body: BodyDataStream,
    /// What arrived and was not read.
    arrived: Bytes,
    number: usize,
    ended: bool,
    /// Longest wait for the next bytes.
    idle: Duration,
}

impl Lines {
    pub(super) fn of(body: Body, config: &config::Http) -> Self {
        Self {
            body: body.into_data_stream(),
            arrived: Bytes::new(),
            number: 0,
            ended: false,
            idle: config.upload_idle,
        }
    }

    /// The next line that is not blank; none at the end of the body.
    pub(super) async fn next(&mut self) -> Result<Option<Line>, ApiError> {
        while !self.ended {
            let line = self.read().await?;
            let is_blank = line
                .bytes
                .as_ref()
                .is_ok_and(|bytes| bytes.trim_ascii().is_empty());
            if !is_blank {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// Everything up to the next line break or the end of the body.
    async fn read(&mut self) -> Result<Line, ApiError> {
        self.number += 1;
        let mut bytes = Vec::new();
        let mut fits = true;
        loop {
            let end = memchr::memchr(b'\n', &self.arrived);
            let part = self.arrived.split_to(end.unwrap_or(self.arrived.len()));
            fits &= bytes.len() + part.len() <= MAX_RECORD_BYTES;
            if fits {
                bytes.extend_from_slice(&part);
            }
            if end.is_some() {
                drop(self.arrived.split_to(1));
                break;
            }
            if !self.fill().await? {
                self.ended = true;
                break;
            }
        }
        let too_large = ApiError::TooLarge {
            limit: MAX_RECORD_BYTES as u64,
        };
        Ok(Line {
            number: self.number,
            bytes: if fits { Ok(bytes) } else { Err(too_large) },
        })
    }

    /// Waits for more of the body; false at its end.
    async fn fill(&mut self) -> Result<bool, ApiError> {
        let until = Instant::now() + self.idle;
        while self.arrived.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            let next = tokio::time::timeout(left, self.body.next()).await;
            match next.map_err(|_| ApiError::TooSlow)? {
                Some(Ok(bytes)) => self.arrived = bytes,
                Some(Err(_)) => {
                    let detail = "the body did not arrive in full";
                    return Err(ApiError::bad_request("malformed_body", detail));
                }
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Env;

    /// Number and text of each line; none for one that is too large.
    async fn read(parts: Vec<&'static [u8]>) -> Vec<(usize, Option<String>)> {
        let stream = futures::stream::iter(parts.into_iter().map(Ok::<_, std::io::Error>));
        let config = config::Http::read(&Env::default()).unwrap();
        let mut lines = Lines::of(Body::from_stream(stream), &config);
        let mut read = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            let text = line
                .bytes
                .ok()
                .map(|bytes| String::from_utf8(bytes).unwrap());
            read.push((line.number, text));
        }
        read
    }

    #[tokio::test]
    async fn lines_are_read_whatever_the_network_cuts() {
        let expected = vec![
            (1, Some("{}".to_owned())),
            (4, Some("{\"a\":1}\r".to_owned())),
            (5, Some("x".to_owned())),
        ];
        assert_eq!(read(vec![b"{}\n\n \r\n{\"a\":1}\r\nx"]).await, expected);
        assert_eq!(
            read(vec![
                b"{",
                b"}\n",
                b"",
                b"\n \r",
                b"\n{\"a\"",
                b":1}\r\n",
                b"x\n"
            ])
            .await,
            expected
        );
        assert!(read(vec![]).await.is_empty());
        assert!(read(vec![b"\n\n"]).await.is_empty());
    }

    #[tokio::test]
    async fn a_line_that_is_too_large_is_passed_over() {
        static LARGE: [u8; MAX_RECORD_BYTES] = [b'a'; MAX_RECORD_BYTES];
        let lines = read(vec![&LARGE, b"\n", &LARGE, b"a", b"\nb"]).await;
        assert_eq!(lines.len(), 3);
        assert!(lines[0].1.is_some() && lines[1].1.is_none());
        assert_eq!(lines[2], (3, Some("b".to_owned())));
    }
}
