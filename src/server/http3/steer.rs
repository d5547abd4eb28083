//! Which worker a datagram belongs to.
//!
//! The kernel picks one of the sockets that share a port by the addresses at both ends, so a client's datagrams reach one
//! worker for as long as it stays where it is. One that moves (another network, another port of a NAT) is known by the id of
//! its connection, and our ids say which worker gave them: it is handed what has come to another one's socket.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures_util::task::AtomicWaker;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, ConnectionId, ConnectionIdGenerator, UdpPoller};

/// Bytes of an id: two for the worker, masked by a keyed hash of the others, so that who looks on does not learn which ids
/// belong together (RFC 9000, section 5.1).
const ID: usize = 8;
/// Datagrams that wait for a worker; more are lost, as they would be in a socket.
const MOST_STRAYS: usize = 1024;

/// A datagram that came to another worker's socket.
struct Stray {
    meta: RecvMeta,
    bytes: Box<[u8]>,
}

#[derive(Default)]
struct Inbox {
    strays: Mutex<VecDeque<Stray>>,
    /// How many there are, so that nobody locks for nothing.
    count: AtomicUsize,
    waker: AtomicWaker,
}

/// The workers behind one address.
pub struct Fabric {
    key: RandomState,
    inboxes: Box<[Inbox]>,
}

impl Fabric {
    #[must_use]
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self { key: RandomState::new(), inboxes: (0..workers).map(|_| Inbox::default()).collect() })
    }

    /// Ids that lead to one worker.
    #[must_use]
    pub fn ids(self: &Arc<Self>, worker: usize) -> Box<dyn ConnectionIdGenerator> {
        Box::new(Ids { fabric: self.clone(), worker, count: 0 })
    }

    fn mask(&self, nonce: &[u8]) -> [u8; 2] {
        let hash = self.key.hash_one(nonce).to_be_bytes();
        [hash[0], hash[1]]
    }

    fn id(&self, worker: usize, count: u64) -> [u8; ID] {
        let nonce = &self.key.hash_one((worker, count)).to_be_bytes()[2..];
        let (mask, worker) = (self.mask(nonce), u16::try_from(worker).unwrap_or(u16::MAX).to_be_bytes());
        let mut id = [0; ID];
        (id[0], id[1]) = (mask[0] ^ worker[0], mask[1] ^ worker[1]);
        id[2..].copy_from_slice(nonce);
        id
    }

    /// The worker that a datagram names, unless it can be anybody's: the first ones of a connection bear an id of the
    /// client's making.
    fn owner(&self, datagram: &[u8]) -> Option<usize> {
        let first = *datagram.first()?;
        let id = if first & 0x80 == 0 {
            datagram.get(1..=ID)?
        } else {
            // Of the long headers only that of a handshake is sure to bear an id of ours (RFC 9000, section 17.2).
            let is_handshake = first & 0x30 == 0x20;
            (is_handshake && usize::from(*datagram.get(5)?) == ID).then(|| datagram.get(6..6 + ID))??
        };
        let mask = self.mask(&id[2..]);
        let worker = usize::from(u16::from_be_bytes([id[0] ^ mask[0], id[1] ^ mask[1]]));
        (worker < self.inboxes.len()).then_some(worker)
    }

    fn hand_over(&self, to: usize, meta: &RecvMeta, datagram: &[u8]) {
        let inbox = &self.inboxes[to];
        {
            let mut strays = inbox.strays.lock().unwrap_or_else(PoisonError::into_inner);
            if strays.len() >= MOST_STRAYS {
                return;
            }
            let meta = RecvMeta { len: datagram.len(), stride: datagram.len(), ..*meta };
            strays.push_back(Stray { meta, bytes: datagram.into() });
            inbox.count.store(strays.len(), Ordering::Release);
        }
        inbox.waker.wake();
    }
}

impl fmt::Debug for Fabric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fabric").field("workers", &self.inboxes.len()).finish_non_exhaustive()
    }
}

struct Ids {
    fabric: Arc<Fabric>,
    worker: usize,
    count: u64,
}

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        self.count += 1;
        ConnectionId::new(&self.fabric.id(self.worker, self.count))
    }

    fn cid_len(&self) -> usize {
        ID
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

/// A worker's socket, with what others have received for it.
#[derive(Debug)]
pub struct Steered {
    inner: Arc<dyn AsyncUdpSocket>,
    fabric: Arc<Fabric>,
    worker: usize,
}

impl Steered {
    #[must_use]
    pub fn new(inner: Arc<dyn AsyncUdpSocket>, fabric: Arc<Fabric>, worker: usize) -> Arc<Self> {
        Arc::new(Self { inner, fabric, worker })
    }

    /// What others have received, as far as there is room.
    fn take(&self, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> Option<usize> {
        let inbox = &self.fabric.inboxes[self.worker];
        if inbox.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut strays = inbox.strays.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = 0;
        for (buf, meta) in bufs.iter_mut().zip(meta) {
            let Some(stray) = strays.pop_front() else { break };
            let length = stray.bytes.len().min(buf.len());
            buf[..length].copy_from_slice(&stray.bytes[..length]);
            *meta = RecvMeta { len: length, stride: length, ..stray.meta };
            taken += 1;
        }
        inbox.count.store(strays.len(), Ordering::Release);
        (taken > 0).then_some(taken)
    }

    /// Hands over what is for others. The datagrams that the kernel joined come from one client, but may be of several
    /// connections: then each goes its way by itself.
    fn sort(&self, buf: &[u8], meta: &mut RecvMeta) {
        let stride = meta.stride.max(1);
        let owner = |datagram: &[u8]| self.fabric.owner(datagram).unwrap_or(self.worker);
        let datagrams = || buf[..meta.len.min(buf.len())].chunks(stride);
        if datagrams().all(|datagram| owner(datagram) == self.worker) {
            return;
        }
        for datagram in datagrams() {
            self.fabric.hand_over(owner(datagram), meta, datagram);
        }
        meta.len = 0;
    }
}

impl AsyncUdpSocket for Steered {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let alone = self.fabric.inboxes.len() == 1;
        if !alone {
            // First the waker, then the look: what comes in between is not missed.
            self.fabric.inboxes[self.worker].waker.register(cx.waker());
            if let Some(taken) = self.take(bufs, meta) {
                return Poll::Ready(Ok(taken));
            }
        }
        let count = ready!(self.inner.poll_recv(cx, bufs, meta))?;
        if !alone {
            for (buf, meta) in bufs.iter().zip(meta).take(count) {
                self.sort(buf, meta);
            }
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// A datagram of a connection that has been set up.
    fn datagram(id: &[u8]) -> Vec<u8> {
        [&[0x40], id, &[0; 20]].concat()
    }

    #[test]
    fn an_id_leads_to_its_worker_and_tells_nobody_else() {
        let fabric = Fabric::new(300);
        for worker in [0, 1, 255, 256, 299] {
            let mut ids = fabric.ids(worker);
            let ids: Vec<ConnectionId> = (0..50).map(|_| ids.generate_cid()).collect();
            for id in &ids {
                assert_eq!(fabric.owner(&datagram(id)), Some(worker));
                let handshake = [&[0xe0, 0, 0, 0, 1, 8], &id[..], &[0; 20]].concat();
                assert_eq!(fabric.owner(&handshake), Some(worker));
                let initial = [&[0xc0, 0, 0, 0, 1, 8], &id[..], &[0; 20]].concat();
                assert_eq!(fabric.owner(&initial), None);
            }
            let starts: HashSet<&[u8]> = ids.iter().map(|id| &id[..2]).collect();
            assert!(starts.len() > 30, "ids of one worker begin alike");
        }
        for short in [&[][..], &[0x40], &[0x40, 1, 2], &[0xe0, 0, 0, 0, 1, 8, 1]] {
            assert_eq!(fabric.owner(short), None);
        }
    }

    #[test]
    fn strays_are_bounded() {
        let fabric = Fabric::new(2);
        let stray = datagram(&fabric.id(1, 1));
        for _ in 0..MOST_STRAYS + 100 {
            fabric.hand_over(1, &RecvMeta::default(), &stray);
        }
        assert_eq!(fabric.inboxes[1].count.load(Ordering::Relaxed), MOST_STRAYS);
        assert_eq!(fabric.inboxes[0].count.load(Ordering::Relaxed), 0);
    }
}
