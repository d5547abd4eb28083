//! The QUIC endpoint of one worker at one address: its socket, its keys, and what holds for its connections.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::sync::{Arc, Weak};
use std::time::Duration;

use quinn::{Endpoint, EndpointConfig, IdleTimeout, Runtime as _, ServerConfig, TokioRuntime, TransportConfig, VarInt};

use super::secrets::secrets;
use super::steer::{Fabric, Steered};
use crate::model::{Door, Global};
use crate::tls::quic::{ByHello, Heard};

/// A client that says nothing for so long is gone.
const IDLE: u32 = 30_000;
/// Clients that are there, and have nothing to ask, are kept awake in between: who waits for an answer must not be taken for
/// gone. Those without a request are told to go after the idle time of HTTP/2.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Bytes that a client may send before somebody takes them: on a stream, and in all.
const STREAM_WINDOW: u32 = 256 * 1024;
const WINDOW: u32 = 1024 * 1024;
/// Bytes on their way to a client.
const SEND_WINDOW: u64 = 1024 * 1024;
/// Streams that are no requests, at once.
const UNIDIRECTIONAL: u32 = 16;
/// Clients whose first datagram waits for a worker, and what they may send meanwhile.
const MOST_WAITING: usize = 1024;
const WAITING: u64 = 16 * 1024;
const WAITING_IN_ALL: u64 = 4 * 1024 * 1024;

/// What a worker needs to open its endpoint.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
    fabric: Arc<Fabric>,
    /// For what is to be read of a client before it is known what to do with it.
    config: ServerConfig,
}

impl Datagrams {
    /// One for each socket; they are those of the workers, in order. None where the door does not speak HTTP/3.
    pub fn of(sockets: Vec<UdpSocket>, door: &Door, global: &Global) -> Option<Vec<Self>> {
        let quic = door.tls.as_ref()?.quic.as_ref()?;
        let config = config(quic.config(None).clone(), global).ok()?;
        let fabric = Fabric::new(sockets.len());
        let each = |socket| Self { socket, fabric: fabric.clone(), config: config.clone() };
        Some(sockets.into_iter().map(each).collect())
    }
}

/// Opens the endpoint of a worker. Belongs to the runtime that it is called in.
pub fn open(datagrams: Datagrams, worker: usize) -> io::Result<Endpoint> {
    let Datagrams { socket, fabric, config } = datagrams;
    // The same for all workers at this address: any of them may be asked about a connection that none of them knows.
    let reset = secrets()?.reset(socket.local_addr()?)?;
    let inner = TokioRuntime.wrap_udp_socket(socket)?;
    let steered = Steered::new(inner, fabric.clone(), worker);
    let mut endpoint = EndpointConfig::new(reset);
    endpoint.cid_generator(move || fabric.ids(worker));
    Endpoint::new_with_abstract_socket(endpoint, Some(config), steered, Arc::new(TokioRuntime))
}

/// What a connection is accepted with.
pub struct Offer {
    config: ServerConfig,
    crypto: Arc<ByHello>,
}

impl Offer {
    /// To one client, with what that says of itself.
    pub fn to_one(&self) -> (Arc<ServerConfig>, Heard) {
        let (mut config, (crypto, heard)) = (self.config.clone(), self.crypto.heard());
        config.crypto = crypto;
        (Arc::new(config), heard)
    }
}

/// The configurations that connections are accepted with, made once for each door.
#[derive(Default)]
pub struct Configs {
    door: Weak<Door>,
    known: HashMap<Option<IpAddr>, Arc<Offer>>,
}

impl Configs {
    /// For a client that came to this address; none where HTTP/3 is not spoken.
    pub fn at(&mut self, door: &Arc<Door>, global: &Global, local: Option<IpAddr>) -> Option<Arc<Offer>> {
        let quic = door.tls.as_ref()?.quic.as_ref()?;
        let now = Arc::downgrade(door);
        if !self.door.ptr_eq(&now) {
            self.known.clear();
            self.door = now;
        }
        let local = local.map(|ip| ip.to_canonical()).filter(|ip| quic.knows(*ip));
        if let Some(known) = self.known.get(&local) {
            return Some(known.clone());
        }
        let crypto = quic.config(local).clone();
        let made = Arc::new(Offer { config: config(crypto.clone(), global).ok()?, crypto });
        self.known.insert(local, made.clone());
        Some(made)
    }
}

fn config(crypto: Arc<ByHello>, global: &Global) -> io::Result<ServerConfig> {
    let mut config = ServerConfig::new(crypto, secrets()?.token.clone());
    config
        .transport_config(Arc::new(transport(global)))
        .max_incoming(MOST_WAITING)
        .incoming_buffer_size(WAITING)
        .incoming_buffer_size_total(WAITING_IN_ALL);
    Ok(config)
}

fn transport(global: &Global) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(global.limits.streams.into())
        .max_concurrent_uni_streams(UNIDIRECTIONAL.into())
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE))))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(WINDOW.into())
        .send_window(SEND_WINDOW)
        // Datagrams of HTTP are nothing that we speak.
        .datagram_receive_buffer_size(None);
    transport
}
