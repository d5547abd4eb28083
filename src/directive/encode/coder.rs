//! The codecs behind one face, with their memory bounded and kept from one answer to the next.

use std::cell::RefCell;
use std::io;

use bytes::Bytes;
use compression_codecs::brotli::params::EncoderParams;
use compression_codecs::zstd::params::CParameter;
use compression_codecs::{BrotliEncoder, EncodeV2, ZstdEncoder};
use compression_core::Level;
use compression_core::util::{PartialBuffer, WriteBuffer};
use flate2::{Compress, Compression, FlushCompress, Status};

use super::accept::Coding;

/// Output is gathered up to this size before it is handed on.
pub(super) const CHUNK: usize = 32 << 10;

/// 256 KiB, as a power of two: what brotli and zstd look back on. Their default windows of 4 and 2 MiB cost megabytes a
/// stream (threat XZ02) and win a few per cent on text of the sizes that are encoded while someone waits. Measured with
/// streams that don't end: gzip 0.4 MiB, zstd 1.0 to 1.5 MiB, br 0.7 (level 1), 1.9 (4) and 3.4 MiB (6). A window of
/// 64 KiB is no better: from level 5 on, brotli then takes other tables, of 23 MiB.
const WINDOW: u8 = 18;

/// Codecs that each worker keeps at hand. One of gzip holds about 300 KiB, so this is what idle workers cost at most.
const SPARE: usize = 4;

/// One encoder and its output.
pub(super) struct Coder {
    coding: Coding,
    level: u8,
    codec: Codec,
    /// At the end of a stream or at its beginning.
    whole: bool,
    chunk: Box<[u8]>,
    filled: usize,
}

enum Codec {
    /// By way of flate2 itself: its state can be used again, which the one of `compression-codecs` can't.
    Gzip(Compress),
    Brotli(Box<BrotliEncoder>),
    Zstd(ZstdEncoder),
}

thread_local! {
    static SPARES: RefCell<Vec<Coder>> = const { RefCell::new(Vec::new()) };
}

impl Coder {
    /// A coder at the beginning of a stream.
    pub fn start(coding: Coding, level: u8) -> Self {
        let spare = SPARES.with_borrow_mut(|spares| {
            let at = spares.iter().position(|spare| spare.coding == coding && spare.level == level)?;
            Some(spares.swap_remove(at))
        });
        let Some(mut coder) = spare else {
            let chunk = vec![0; CHUNK].into_boxed_slice();
            return Self { coding, level, codec: Codec::new(coding, level), whole: true, chunk, filled: 0 };
        };
        coder.filled = 0;
        if let Codec::Gzip(compress) = &mut coder.codec {
            compress.reset();
        }
        coder.whole = true;
        coder
    }

    /// Keeps it for another stream, if it can begin one.
    pub fn release(self) {
        let reusable = match self.codec {
            Codec::Gzip(_) => true,
            // A frame that has ended is followed by a new one; one that has not can't be left.
            Codec::Zstd(_) => self.whole,
            // It has no way back to its beginning.
            Codec::Brotli(_) => false,
        };
        if reusable {
            // Streams may be dropped while their thread ends, when there is no list to keep them in.
            let _ = SPARES.try_with(|spares| {
                if let Ok(mut spares) = spares.try_borrow_mut()
                    && spares.len() < SPARE
                {
                    spares.push(self);
                }
            });
        }
    }

    /// Takes of `input` what there is room for, and says how much that was.
    pub fn encode(&mut self, input: &[u8]) -> io::Result<usize> {
        self.whole = false;
        let out = &mut self.chunk[self.filled..];
        let (taken, made) = match &mut self.codec {
            Codec::Gzip(compress) => {
                gzip(compress, input, out, FlushCompress::None).map(|(taken, made, _)| (taken, made))
            }
            Codec::Brotli(encoder) => encode(&mut **encoder, input, out),
            Codec::Zstd(encoder) => encode(encoder, input, out),
        }?;
        self.filled += made;
        if taken == 0 && made == 0 && !input.is_empty() && !self.is_full() {
            return Err(io::Error::other("the encoder takes no more"));
        }
        Ok(taken)
    }

    /// Brings out all that went in. To be called again, after [`Coder::drain`], until it is true.
    pub fn flush(&mut self) -> io::Result<bool> {
        let out = &mut self.chunk[self.filled..];
        let (done, made) = match &mut self.codec {
            Codec::Gzip(compress) => {
                let room = out.len();
                // Room that is left says that there was no more (zlib.h, `deflate`).
                gzip(compress, &[], out, FlushCompress::Sync).map(|(_, made, _)| (made < room, made))
            }
            Codec::Brotli(encoder) => write(out, |out| encoder.flush(out)),
            Codec::Zstd(encoder) => write(out, |out| encoder.flush(out)),
        }?;
        self.filled += made;
        Ok(done)
    }

    /// Ends the stream. To be called again, after [`Coder::drain`], until it is true, and then no more.
    pub fn finish(&mut self) -> io::Result<bool> {
        let out = &mut self.chunk[self.filled..];
        let (done, made) = match &mut self.codec {
            Codec::Gzip(compress) => gzip(compress, &[], out, FlushCompress::Finish)
                .map(|(_, made, status)| (matches!(status, Status::StreamEnd), made)),
            Codec::Brotli(encoder) => write(out, |out| encoder.finish(out)),
            Codec::Zstd(encoder) => write(out, |out| encoder.finish(out)),
        }?;
        self.filled += made;
        self.whole = done;
        if !done && made == 0 && !self.is_full() {
            return Err(io::Error::other("the encoder does not end"));
        }
        Ok(done)
    }

    pub fn filled(&self) -> usize {
        self.filled
    }

    pub fn is_full(&self) -> bool {
        self.filled == self.chunk.len()
    }

    /// The output so far, in memory of its own size: what waits for a slow reader is no larger than it must be.
    pub fn drain(&mut self) -> Bytes {
        let bytes = Bytes::copy_from_slice(&self.chunk[..self.filled]);
        self.filled = 0;
        bytes
    }
}

impl Codec {
    fn new(coding: Coding, level: u8) -> Self {
        match coding {
            Coding::Gzip => Self::Gzip(Compress::new_gzip(Compression::new(level.into()), 15)),
            // Without a hint of the size: one of a megabyte and more makes level 4 take a table of 4 MiB.
            Coding::Brotli => Self::Brotli(Box::new(BrotliEncoder::new(
                EncoderParams::default().quality(Level::Precise(level.into())).window_size(WINDOW.into()),
            ))),
            Coding::Zstd => Self::Zstd(ZstdEncoder::new_with_params(
                level.into(),
                &[CParameter::window_log(WINDOW.into()), CParameter::hash_log(17), CParameter::chain_log(17)],
            )),
        }
    }
}

/// Bytes taken, bytes made, and where the stream is.
fn gzip(
    compress: &mut Compress,
    input: &[u8],
    out: &mut [u8],
    flush: FlushCompress,
) -> io::Result<(usize, usize, Status)> {
    let (taken, made) = (compress.total_in(), compress.total_out());
    let status = compress.compress(input, out, flush)?;
    let since = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
    Ok((since(compress.total_in(), taken), since(compress.total_out(), made), status))
}

fn encode(encoder: &mut impl EncodeV2, input: &[u8], out: &mut [u8]) -> io::Result<(usize, usize)> {
    let mut input = PartialBuffer::new(input);
    let ((), made) = write(out, |out| encoder.encode(&mut input, out))?;
    Ok((input.written_len(), made))
}

fn write<T>(out: &mut [u8], step: impl FnOnce(&mut WriteBuffer<'_>) -> io::Result<T>) -> io::Result<(T, usize)> {
    let mut out = WriteBuffer::new_initialized(out);
    let done = step(&mut out)?;
    Ok((done, out.written_len()))
}
