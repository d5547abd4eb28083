//! The end of a WebSocket at a shutdown: both ends are told, wherever a frame may stand.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::http::tunnel::Follow;

/// Where in a row of frames a stream is (RFC 6455, section 5.2). Payloads are stepped over, not looked at.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// What there is of a head that is not whole.
    head: [u8; HEAD],
    length: usize,
    /// Bytes of the payload that are still to come.
    left: u64,
    /// A close frame has passed: it is the last.
    closed: bool,
}

/// Of a head with a length of eight bytes and a mask.
const HEAD: usize = 14;

const CLOSE: u8 = 0x8;

impl Follow for Frames {
    fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                self.left -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            self.head[self.length] = bytes[0];
            self.length += 1;
            bytes = &bytes[1..];
            if self.length == wanted(&self.head[..self.length]) {
                self.left = payload(&self.head[..self.length]);
                self.closed |= self.head[0] & 0x0f == CLOSE;
                self.length = 0;
            }
        }
    }
}

impl Frames {
    /// A frame may be put here.
    fn is_between(&self) -> bool {
        self.length == 0 && self.left == 0 && !self.closed
    }
}

/// Bytes of the head that begins so.
fn wanted(head: &[u8]) -> usize {
    let Some(second) = head.get(1) else { return 2 };
    2 + extended(*second) + if second & 0x80 == 0 { 0 } else { 4 }
}

/// Bytes of the length behind the first two.
fn extended(second: u8) -> usize {
    match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    }
}

/// Bytes of payload that a whole head announces.
fn payload(head: &[u8]) -> u64 {
    match extended(head[1]) {
        0 => u64::from(head[1] & 0x7f),
        count => head[2..2 + count].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
    }
}

/// Going away (RFC 6455, section 7.4.1).
const REASON: [u8; 2] = 1001_u16.to_be_bytes();

/// Whom a close frame is for: only what clients send is masked (section 5.3).
#[derive(Debug, Clone, Copy)]
pub(super) enum To {
    Client,
    Server,
}

fn close(to: To) -> Vec<u8> {
    let [a, b] = REASON;
    match to {
        To::Client => vec![0x80 | CLOSE, 2, a, b],
        To::Server => {
            let mut mask = [0; 4];
            // Without random numbers the mask is that of nothing: what it hides is known.
            let _ = aws_lc_rs::rand::fill(&mut mask);
            let [c, d, ..] = mask;
            [&[0x80 | CLOSE, 0x80 | 2], &mask[..], &[a ^ c, b ^ d]].concat()
        }
    }
}

/// Says that it is over, where a frame may stand, and reads until the other end has gone: what is unread when a socket is
/// closed resets it, and the goodbye may be lost to that.
pub(super) async fn say<T: AsyncRead + AsyncWrite + Unpin>(stream: &mut T, frames: &Frames, to: To) -> io::Result<()> {
    if frames.is_between() {
        stream.write_all(&close(to)).await?;
    }
    stream.shutdown().await?;
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a frame may stand in `bytes`, however they come.
    fn gaps(bytes: &[u8]) -> Vec<usize> {
        let mut whole = Frames::default();
        whole.follow(bytes);
        let mut frames = Frames::default();
        let mut gaps = Vec::new();
        for (at, byte) in bytes.iter().enumerate() {
            if frames.is_between() {
                gaps.push(at);
            }
            frames.follow(&[*byte]);
        }
        assert_eq!(frames.is_between(), whole.is_between());
        if frames.is_between() {
            gaps.push(bytes.len());
        }
        gaps
    }

    #[test]
    fn rfc_6455_5_2_frames_are_stepped_over() {
        assert_eq!(gaps(b"\x81\x02hi\x89\x00"), [0, 4, 6]);
        assert_eq!(gaps(b"\x81\x82maskhi\x01\x01a\x80\x01b"), [0, 8, 11, 14]);
        let long =
            [&[0x82, 126, 1, 0][..], &[0x81; 256], &[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0], b"mask", &vec![7; 1 << 16]];
        assert_eq!(gaps(&long.concat()), [0, 260, 260 + 14 + (1 << 16)]);
        assert_eq!(gaps(b"\x82\x7e\x00"), [0]);
    }

    #[test]
    fn rfc_6455_5_5_1_nothing_follows_a_close_frame() {
        assert_eq!(gaps(b"\x88\x02\x03\xe8"), [0]);
        for to in [To::Client, To::Server] {
            let mut frames = Frames::default();
            frames.follow(&close(to));
            assert!(frames.closed && frames.left == 0 && frames.length == 0, "{to:?}");
        }
        assert_eq!(close(To::Client), [0x88, 2, 3, 0xe9]);
        let masked = close(To::Server);
        let reason: Vec<u8> = masked[6..].iter().zip(&masked[2..]).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!((&masked[..2], reason), (&[0x88, 0x82][..], vec![3, 0xe9]));
    }
}
