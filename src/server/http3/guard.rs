//! What a client's stream may say, held to its bounds before anything of it is kept.
//!
//! The library behind us gathers every frame but DATA until it is whole, whatever length it claims, and looks at its limits
//! after that; it takes the end of a stream within a frame for the end of a body, and an empty DATA frame too. So frames are
//! counted here: what is too large is refused at its first byte, what means nothing is dropped as it comes (RFC 9114, section
//! 9), and a body ends where its last frame does.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::{Buf, Bytes, BytesMut};
use h3::error::Code;

use super::section::{self, Asked, Protocol, Section};

/// Bytes of frames that mean nothing, a stream: some clients send a few, to see that they are ignored.
const MOST_IDLE: u64 = 64 * 1024;
/// What a frame costs us beyond its bytes.
const FRAME: u64 = 16;
/// Bytes of one frame of the control stream.
const LONGEST_CONTROL: u64 = 4 * 1024;
/// Heads that have begun and have not ended, in bytes, of all streams of a connection.
const MOST_HELD: usize = 1024 * 1024;

/// Why a stream is not read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The message is malformed, and that is its own trouble.
    Stream(Code),
    /// Nothing that comes on this connection can be trusted to mean what it says.
    Connection(Code, &'static str),
}

/// Bytes that the streams of one connection have begun and not ended.
#[derive(Debug, Clone, Default)]
pub struct Held(Rc<Cell<usize>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A stream of the client's whose first number says what it is for.
    Untyped,
    Control,
    /// Instructions for tables that we do not keep, or a stream of a kind that nobody knows.
    Other,
    /// A request, with the sections of fields that have come.
    Request(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the type and the length of a frame.
    Head,
    /// In a frame that passes as it comes.
    Pass(u64),
    /// In one that is gathered.
    Keep(u64),
    /// In one that is dropped.
    Drop(u64),
}

/// Follows one stream.
#[derive(Debug)]
pub struct Guard {
    place: Place,
    state: State,
    head: BytesMut,
    kept: BytesMut,
    held: Held,
    /// Bytes that one section of fields may have on the wire.
    longest: u64,
    idle: u64,
    protocol: Option<Protocol>,
}

impl Guard {
    /// For a request. What a section may have decoded is for others to count; here it may be twice that, so that a head
    /// which is a little too large gets its answer.
    pub fn request(header: usize, held: Held) -> Self {
        Self::new(Place::Request(0), header, held)
    }

    pub fn unidirectional(held: Held) -> Self {
        Self::new(Place::Untyped, 0, held)
    }

    fn new(place: Place, header: usize, held: Held) -> Self {
        let longest = header as u64 * 2;
        let (head, kept) = (BytesMut::new(), BytesMut::new());
        Self { place, state: State::Head, head, kept, held, longest, idle: 0, protocol: None }
    }

    /// What the request asks to be spoken of in, which is not passed on.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        self.protocol
    }

    /// Reads on, and says what may pass. After a refusal nothing does.
    pub fn read(&mut self, mut bytes: Bytes, passed: &mut VecDeque<Bytes>) -> Result<(), Refusal> {
        while !bytes.is_empty() {
            if self.place == Place::Other {
                passed.push_back(bytes);
                return Ok(());
            }
            let here = |left: u64| usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            match self.state {
                State::Head => {
                    self.head.extend_from_slice(&[bytes.get_u8()]);
                    self.begin(passed)?;
                }
                State::Pass(left) => {
                    let piece = bytes.split_to(here(left));
                    self.go_on(left - piece.len() as u64, State::Pass);
                    passed.push_back(piece);
                }
                State::Drop(left) => {
                    let dropped = here(left);
                    bytes.advance(dropped);
                    self.go_on(left - dropped as u64, State::Drop);
                }
                State::Keep(left) => {
                    let piece = bytes.split_to(here(left));
                    self.keep(&piece)?;
                    self.go_on(left - piece.len() as u64, State::Keep);
                    if self.state == State::Head {
                        passed.push_back(self.give()?);
                    }
                }
            }
        }
        Ok(())
    }

    /// The stream has ended: not within a frame.
    pub fn end(&self) -> Result<(), Refusal> {
        let whole = self.state == State::Head && self.head.is_empty();
        match self.place {
            Place::Request(sections) if !whole || sections == 0 => Err(Refusal::Stream(Code::H3_REQUEST_INCOMPLETE)),
            Place::Control if !whole => Err(Refusal::Connection(Code::H3_FRAME_ERROR, "the stream ends in a frame")),
            _ => Ok(()),
        }
    }

    fn go_on(&mut self, left: u64, state: impl Fn(u64) -> State) {
        self.state = if left == 0 { State::Head } else { state(left) };
    }

    /// Once the numbers that a frame begins with are there, decides what becomes of it.
    fn begin(&mut self, passed: &mut VecDeque<Bytes>) -> Result<(), Refusal> {
        let Some((kind, rest)) = number(&self.head) else { return Ok(()) };
        if self.place == Place::Untyped {
            self.place = match kind {
                0 => Place::Control,
                1 => return Err(Refusal::Connection(Code::H3_STREAM_CREATION_ERROR, "only servers push")),
                _ => Place::Other,
            };
            passed.push_back(self.head.split().freeze());
            return Ok(());
        }
        let Some((length, _)) = number(rest) else { return Ok(()) };
        let head = self.head.split();
        match self.judge(kind, length)? {
            State::Pass(_) => {
                passed.push_back(head.freeze());
                self.go_on(length, State::Pass);
            }
            State::Keep(_) => {
                self.keep(&head)?;
                self.go_on(length, State::Keep);
                if length == 0 {
                    passed.push_back(self.give()?);
                }
            }
            _ => self.go_on(length, State::Drop),
        }
        Ok(())
    }

    /// RFC 9114, section 7.2: which frames stand where.
    fn judge(&mut self, kind: u64, length: u64) -> Result<State, Refusal> {
        const UNEXPECTED: Refusal = Refusal::Connection(Code::H3_FRAME_UNEXPECTED, "a frame that has no place here");
        match (self.place, kind) {
            (Place::Request(1), 0) if length > 0 => Ok(State::Pass(length)),
            (Place::Request(1), 0) => self.idle(0),
            (Place::Request(sections @ (0 | 1)), 1) => {
                if length > self.longest {
                    return Err(Refusal::Stream(Code::H3_EXCESSIVE_LOAD));
                }
                self.place = Place::Request(sections + 1);
                Ok(State::Keep(length))
            }
            (Place::Control, 3 | 4 | 7 | 0xd) => {
                if length > LONGEST_CONTROL {
                    return Err(Refusal::Connection(Code::H3_EXCESSIVE_LOAD, "a control frame without measure"));
                }
                Ok(State::Keep(length))
            }
            // Those of HTTP/2 that have no successor are reserved (section 7.2.8).
            (_, 0..=9 | 0xd) => Err(UNEXPECTED),
            // Priorities are told on the control stream for as long as requests come.
            (Place::Control, _) if length <= LONGEST_CONTROL => Ok(State::Drop(length)),
            _ => self.idle(length),
        }
    }

    /// A frame that means nothing.
    fn idle(&mut self, length: u64) -> Result<State, Refusal> {
        self.idle = self.idle.saturating_add(length).saturating_add(FRAME);
        if self.idle > MOST_IDLE {
            return Err(Refusal::Connection(Code::H3_EXCESSIVE_LOAD, "too many frames that mean nothing"));
        }
        Ok(State::Drop(length))
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.held.0.set(self.held.0.get() + bytes.len());
        self.kept.extend_from_slice(bytes);
        if self.held.0.get() > MOST_HELD {
            return Err(Refusal::Connection(Code::H3_EXCESSIVE_LOAD, "too many heads at once"));
        }
        Ok(())
    }

    /// A frame that is whole.
    fn give(&mut self) -> Result<Bytes, Refusal> {
        let frame = self.kept.split().freeze();
        self.kept = BytesMut::new();
        self.held.0.set(self.held.0.get().saturating_sub(frame.len()));
        if let Place::Request(sections) = self.place {
            let block = number(&frame).and_then(|(_, rest)| number(rest)).map_or(&[][..], |(_, block)| block);
            let asked = section::check(block, if sections == 1 { Section::Head } else { Section::Trailers })?;
            if let Some(Asked { protocol, field }) = asked {
                self.protocol = Some(protocol);
                return Ok(headers(&block[..field.start], &block[field.end..]));
            }
        }
        Ok(frame)
    }
}

/// A frame of fields, from two parts of another.
fn headers(before: &[u8], behind: &[u8]) -> Bytes {
    // Its length in four bytes (RFC 9000, section 16), as no section comes near 2^30.
    let length = u32::try_from(before.len() + behind.len()).unwrap_or(u32::MAX) | 0x8000_0000;
    [&[1], &length.to_be_bytes()[..], before, behind].concat().into()
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.held.0.set(self.held.0.get().saturating_sub(self.kept.len()));
    }
}

/// The number that these bytes begin with (RFC 9000, section 16), and what follows it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let first = *bytes.first()?;
    let length = 1 << (first >> 6);
    let (number, rest) = bytes.split_at_checked(length)?;
    let value = number[1..].iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte));
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// GET of `https://a/`, from the static table.
    const GET: &[u8] = &[0x01, 0x08, 0x00, 0x00, 0xd1, 0xd7, 0x50, 0x01, b'a', 0xc1];

    fn follow(mut guard: Guard, pieces: &[&[u8]]) -> Result<Vec<u8>, Refusal> {
        let mut passed = VecDeque::new();
        for piece in pieces {
            guard.read(Bytes::copy_from_slice(piece), &mut passed)?;
        }
        guard.end()?;
        Ok(passed.iter().flatten().copied().collect())
    }

    fn check(bytes: &[&[u8]], expected: Result<&[&[u8]], Refusal>) {
        let guard = Guard::request(32 * 1024, Held::default());
        assert_eq!(follow(guard, bytes), expected.map(<[&[u8]]>::concat), "{bytes:x?}");
    }

    fn control(bytes: &[&[u8]]) -> Result<Vec<u8>, Refusal> {
        follow(Guard::unidirectional(Held::default()), bytes)
    }

    fn code(refusal: Refusal) -> Code {
        match refusal {
            Refusal::Stream(code) | Refusal::Connection(code, _) => code,
        }
    }

    #[test]
    fn a_request_passes_without_what_means_nothing() {
        let (data, grease) = (&[0x00, 0x02, b'h', b'i'][..], &[0x21, 0x03, 1, 2, 3][..]);
        check(&[GET], Ok(&[GET]));
        check(&[GET, data, data], Ok(&[GET, data, data]));
        check(&[grease, GET, grease, data, grease], Ok(&[GET, data]));
        check(&[GET, &[0x00, 0x00], data], Ok(&[GET, data]));
        let trailers = &[0x01, 0x07, 0, 0, 0x21, b'x', 0x02, b'a', b'b'][..];
        check(&[GET, data, trailers, grease], Ok(&[GET, data, trailers]));
        // A stream without frames in the way that another protocol has it: a type like any other.
        check(&[GET, &[0x40, 0x41, 0x01, 0xff], data], Ok(&[GET, data]));
    }

    #[test]
    fn a_protocol_is_kept_back_and_told() {
        let (before, behind) = ([0, 0, 0xcf, 0xd7], [0x50, 0x01, b'a', 0xc1]);
        let field = [&[0x27, 0x02][..], b":protocol", b"\x09websocket"].concat();
        let block = [&before[..], &field, &behind].concat();
        let mut guard = Guard::request(1024, Held::default());
        let mut passed = VecDeque::new();
        let frame = [&[0x01, u8::try_from(block.len()).unwrap()][..], &block].concat();
        guard.read(frame.into(), &mut passed).unwrap();
        assert_eq!(guard.protocol(), Some(Protocol::WebSocket));
        assert_eq!(passed, [[&[0x01, 0x80, 0, 0, 8][..], &before, &behind].concat()]);
    }

    #[test]
    fn xg03_a_stream_ends_with_a_frame() {
        let cut = Err(Refusal::Stream(Code::H3_REQUEST_INCOMPLETE));
        check(&[], cut);
        check(&[&GET[..5]], cut);
        check(&[GET, &[0x00]], cut);
        check(&[GET, &[0x00, 0x05, b'h']], cut);
        check(&[GET, &[0x00, 0x05]], cut);
        check(&[GET, &[0x21, 0x05]], cut);
    }

    #[test]
    fn frames_stand_where_they_belong() {
        for frames in [
            [&[0x00, 0x01, b'a'][..], GET],
            [GET, &[0x04, 0x00]],
            [GET, &[0x07, 0x01, 0x00]],
            [GET, &[0x02, 0x00]],
            [GET, &[0x0d, 0x01, 0x00]],
        ] {
            let refusal = follow(Guard::request(1024, Held::default()), &frames).unwrap_err();
            assert_eq!(code(refusal), Code::H3_FRAME_UNEXPECTED, "{frames:x?}");
        }
        let trailers = &[0x01, 0x02, 0, 0][..];
        let refusal = follow(Guard::request(1024, Held::default()), &[GET, trailers, &[0, 1, b'a']]).unwrap_err();
        assert_eq!(code(refusal), Code::H3_FRAME_UNEXPECTED);
        assert_eq!(control(&[&[0, 4, 0], &[0, 1, b'a']]).map_err(code), Err(Code::H3_FRAME_UNEXPECTED));
        assert_eq!(control(&[&[1, 0]]).map_err(code), Err(Code::H3_STREAM_CREATION_ERROR));
        assert_eq!(control(&[&[0, 4, 0, 0x40, 0x54, 1, 9, 7, 1, 0]]).unwrap(), [0, 4, 0, 7, 1, 0]);
        assert_eq!(control(&[&[2, 1, 2, 3]]).unwrap(), [2, 1, 2, 3]);
    }

    #[test]
    fn xh09_what_is_claimed_is_bounded_before_it_comes() {
        let huge = [0x01, 0xc0, 0, 0, 0, 0x40, 0, 0, 0];
        check(&[&huge], Err(Refusal::Stream(Code::H3_EXCESSIVE_LOAD)));
        let unknown = [0x21, 0xc0, 0, 0, 0, 0x40, 0, 0, 0];
        for refusal in [
            follow(Guard::request(1024, Held::default()), &[&unknown]),
            follow(Guard::request(1024, Held::default()), &[GET, &[0x21, 0x00].repeat(5000)]),
            follow(Guard::request(1024, Held::default()), &[GET, &[0x00, 0x00].repeat(5000)]),
            control(&[&[0, 4, 0x80, 1, 0, 0]]),
        ] {
            assert_eq!(refusal.map_err(code), Err(Code::H3_EXCESSIVE_LOAD));
        }
    }

    #[test]
    fn xh09_heads_that_never_end_are_counted_together() {
        let held = Held::default();
        let (mut guards, mut passed) = (Vec::new(), VecDeque::new());
        let begun = Bytes::from([&[0x01, 0x80, 0, 0xf0, 0][..], &vec![0; 61_000]].concat());
        let refused = (0..20).find(|_| {
            let mut guard = Guard::request(32 * 1024, held.clone());
            let outcome = guard.read(begun.clone(), &mut passed);
            guards.push(guard);
            outcome.map_err(code) == Err(Code::H3_EXCESSIVE_LOAD)
        });
        assert_eq!(refused, Some(17));
        drop(guards);
        assert_eq!(held.0.get(), 0);
    }

    proptest! {
        /// It makes no difference how the bytes are cut, and nothing makes it panic.
        #[test]
        fn cuts_change_nothing(
            pieces in prop::collection::vec(prop::sample::select(vec![
                GET, &[0x00, 0x02, b'h', b'i'], &[0x21, 0x01, 7], &[0x00, 0x00], &[0x01, 0x02, 0, 0], &[0x04, 0x00], &[0x40],
                &[0x00, 0x40, 0x03, 1, 2, 3], &[0xff], &[0x01, 0x00],
            ]), 0..10),
            cuts in prop::collection::vec(1_usize..6, 1..40),
        ) {
            let bytes = pieces.concat();
            let whole = follow(Guard::request(1024, Held::default()), &[&bytes]);
            let (mut cut, mut at) = (Vec::new(), 0);
            for length in cuts.iter().cycle().take(bytes.len()) {
                let end = (at + length).min(bytes.len());
                cut.push(&bytes[at..end]);
                at = end;
            }
            prop_assert_eq!(whole, follow(Guard::request(1024, Held::default()), &cut));
        }

        #[test]
        fn nothing_passes_that_was_not_said(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut passed = VecDeque::new();
            let mut guard = Guard::request(64, Held::default());
            let _ = guard.read(Bytes::copy_from_slice(&bytes), &mut passed);
            prop_assert!(passed.iter().map(Bytes::len).sum::<usize>() <= bytes.len());
            prop_assert!(guard.kept.len() <= 160);
        }
    }
}
