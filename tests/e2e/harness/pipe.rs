//! One end of a connection: bytes out, bytes in, and never a wait without an end.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{PATIENCE, lock};

pub trait Io: Read + Write + Send {}

impl<T: Read + Write + Send> Io for T {}

pub struct Pipe {
    /// Beneath whatever `io` adds to it.
    tcp: TcpStream,
    io: Box<dyn Io>,
    /// Read, and not yet taken.
    pub buffer: Vec<u8>,
    /// Takes a copy of all that is read.
    pub record: Option<Arc<Mutex<Vec<u8>>>>,
}

impl Pipe {
    pub fn plain(tcp: TcpStream) -> Self {
        let io = tcp.try_clone().unwrap();
        Self::new(tcp, Box::new(io))
    }

    /// `io` runs over a clone of `tcp`.
    pub fn new(tcp: TcpStream, io: Box<dyn Io>) -> Self {
        tcp.set_nodelay(true).unwrap();
        tcp.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { tcp, io, buffer: Vec::new(), record: None }
    }

    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.io.write_all(bytes.as_ref())?;
        self.io.flush()
    }

    /// Reads once. 0: the other side has finished.
    pub fn fill(&mut self) -> io::Result<usize> {
        self.fill_within(PATIENCE)
    }

    /// Fails with `TimedOut` or `WouldBlock` where nothing comes.
    pub fn fill_within(&mut self, time: Duration) -> io::Result<usize> {
        self.tcp.set_read_timeout(Some(time))?;
        let mut chunk = [0_u8; 16 * 1024];
        let read = self.io.read(&mut chunk)?;
        self.buffer.extend_from_slice(&chunk[..read]);
        if let Some(record) = &self.record {
            lock(record).extend_from_slice(&chunk[..read]);
        }
        Ok(read)
    }

    /// Everything up to and with `end`; `None` if the other side finishes or fails before it.
    pub fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return Some(self.buffer.drain(..at + end.len()).collect());
            }
            if !matches!(self.fill(), Ok(1..)) {
                return None;
            }
        }
    }

    /// So many bytes, or `None` if the other side finishes or fails before that.
    pub fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            if !matches!(self.fill(), Ok(1..)) {
                return None;
            }
        }
        Some(self.buffer.drain(..count).collect())
    }

    /// What comes until the other side finishes, and whether it did so in good order (else it reset the connection).
    pub fn drain(&mut self) -> (Vec<u8>, bool) {
        let start = Instant::now();
        let orderly = loop {
            assert!(start.elapsed() < PATIENCE, "the connection does not end; so far: {:?}", self.text());
            match self.fill() {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) if is_timeout(&error) => panic!("the connection does not end; so far: {:?}", self.text()),
                Err(_) => break false,
            }
        };
        (std::mem::take(&mut self.buffer), orderly)
    }

    /// What is in the buffer, for people.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    /// No more from us; what the other side says is still read.
    pub fn finish(&mut self) {
        let _ = self.io.flush();
        let _ = self.tcp.shutdown(Shutdown::Write);
    }

    pub fn close(&mut self) {
        let _ = self.tcp.shutdown(Shutdown::Both);
    }

    /// Ends the connection with RST.
    pub fn reset(&mut self) {
        let socket = socket2::SockRef::from(&self.tcp);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        // The socket closes with its last descriptor: give both of them up.
        let nowhere = TcpStream::connect(void()).unwrap();
        self.io = Box::new(nowhere.try_clone().unwrap());
        self.tcp = nowhere;
    }
}

/// The end of connections that have been reset: whoever comes there is sent away.
fn void() -> std::net::SocketAddr {
    static VOID: std::sync::OnceLock<std::net::SocketAddr> = std::sync::OnceLock::new();
    *VOID.get_or_init(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || listener.incoming().for_each(drop));
        address
    })
}

pub fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}
