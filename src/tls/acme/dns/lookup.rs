//! Questions to name servers: over UDP, again over TCP where the answer does not fit (RFC 1035, section 4.2), and never
//! more than a handful for one name.
//!
//! Nothing is remembered, so that no answer outlives its question, whatever its TTL.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};

use crate::tls::acme::Failure;

/// For one question to one server.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 300 } else { 3000 });
/// A datagram may be lost.
const TRIES: usize = 2;
/// What fits into a datagram on every network (the recommendation of DNS flag day 2020).
const DATAGRAM: u16 = 1232;
/// Records of an answer. Who sends more has something else in mind.
const MOST_RECORDS: usize = 1000;
/// Names that lead from one to the next.
const MOST_ALIASES: usize = 8;
/// Name servers of a zone, and addresses of one of them.
const MOST_SERVERS: usize = 16;

/// Why a server's answer is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mute {
    Silent,
    Unreachable,
    Senseless,
    Refuses(ResponseCode),
}

impl fmt::Display for Mute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("no answer"),
            Self::Unreachable => f.write_str("cannot be reached"),
            Self::Senseless => f.write_str("an answer that makes no sense"),
            Self::Refuses(code) => write!(f, "refuses ({})", code.to_str()),
        }
    }
}

/// A name server of a zone, with its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub name: String,
    pub addresses: Vec<SocketAddr>,
}

/// Whom to ask for what is not in the zone's own hands.
#[derive(Debug, Clone)]
pub struct Lookup {
    resolvers: Vec<SocketAddr>,
    /// Where name servers listen.
    port: u16,
}

impl Lookup {
    /// Asks these, or those of this machine where none are named.
    pub fn new(resolvers: &[SocketAddr]) -> Self {
        let resolvers = if resolvers.is_empty() { of_this_machine() } else { resolvers.to_vec() };
        Self { resolvers, port: 53 }
    }

    /// Where a name leads (RFC 1034, section 3.6.2): itself, if it is no alias.
    pub async fn target(&self, name: &Name) -> Result<Name, Failure> {
        let mut seen = HashSet::from([name.to_lowercase()]);
        let mut at = name.clone();
        loop {
            let answer = self.resolve(&at, RecordType::CNAME).await?;
            let next = answer.answers.iter().find_map(|record| match &record.data {
                RData::CNAME(alias) if record.name == at => Some(alias.0.clone()),
                _ => None,
            });
            let Some(next) = next else { return Ok(at) };
            if !seen.insert(next.to_lowercase()) || seen.len() > MOST_ALIASES {
                return Err(Failure::other(format!("the aliases (CNAME) of `{}` lead nowhere", bare(name))));
            }
            at = next;
        }
    }

    /// The zone that a name is in: the nearest name above it that has a start of authority.
    pub async fn zone(&self, name: &Name) -> Result<Name, Failure> {
        let mut at = name.clone();
        while !at.is_root() {
            let answer = self.resolve(&at, RecordType::SOA).await?;
            if let Some(zone) = zone_in(&answer, name) {
                return Ok(zone);
            }
            at = at.base_name();
        }
        Err(no_zone(name))
    }

    /// The same, as one server sees it, which need not be known to anybody else.
    pub async fn zone_at(&self, server: SocketAddr, name: &Name) -> Result<Name, Failure> {
        let mut at = name.clone();
        while !at.is_root() {
            match ask(server, &at, RecordType::SOA, false).await {
                Ok(answer) => {
                    if let Some(zone) = zone_in(&answer, name) {
                        return Ok(zone);
                    }
                }
                // It may have the zone above.
                Err(Mute::Refuses(_)) => {}
                Err(mute) => return Err(Failure::other(format!("the name server {server}: {mute}"))),
            }
            at = at.base_name();
        }
        Err(no_zone(name))
    }

    /// All name servers of a zone.
    pub async fn servers(&self, zone: &Name) -> Result<Vec<Server>, Failure> {
        let answer = self.resolve(zone, RecordType::NS).await?;
        let names: Vec<Name> = answer
            .answers
            .iter()
            .filter_map(|record| if let RData::NS(server) = &record.data { Some(server.0.clone()) } else { None })
            .take(MOST_SERVERS)
            .collect();
        let mut servers = Vec::new();
        for name in names {
            servers.push(Server { addresses: self.addresses(&name).await, name: bare(&name) });
        }
        if servers.iter().all(|server| server.addresses.is_empty()) {
            return Err(Failure::other(format!("no name server of the zone `{}` can be found", bare(zone))));
        }
        Ok(servers)
    }

    /// What cannot be found out is left out: another address may do.
    async fn addresses(&self, name: &Name) -> Vec<SocketAddr> {
        let mut found = Vec::new();
        for kind in [RecordType::A, RecordType::AAAA] {
            let Ok(answer) = self.resolve(name, kind).await else { continue };
            found.extend(answer.answers.iter().filter_map(|record| match &record.data {
                RData::A(address) => Some(SocketAddr::new(address.0.into(), self.port)),
                RData::AAAA(address) => Some(SocketAddr::new(address.0.into(), self.port)),
                _ => None,
            }));
        }
        found.truncate(MOST_SERVERS);
        found
    }

    /// The answer of the first resolver that has one. That there is no such name is one.
    async fn resolve(&self, name: &Name, kind: RecordType) -> Result<Message, Failure> {
        let mut why = Vec::new();
        for resolver in &self.resolvers {
            match ask(*resolver, name, kind, true).await {
                Ok(answer) => return Ok(answer),
                Err(mute) => why.push(format!("{resolver}: {mute}")),
            }
        }
        Err(Failure::other(format!("nobody says what `{}` has as {kind} ({})", bare(name), why.join("; "))))
    }

    #[cfg(test)]
    pub(super) fn at_port(self, port: u16) -> Self {
        Self { port, ..self }
    }
}

/// The texts that a server has for a name; the pieces of each are put together (RFC 1035, section 3.3.14).
pub(super) async fn texts(server: SocketAddr, name: &Name) -> Result<Vec<String>, Mute> {
    let answer = ask(server, name, RecordType::TXT, false).await?;
    let texts = answer.answers.iter().filter(|record| record.name == *name).filter_map(|record| match &record.data {
        RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
        _ => None,
    });
    Ok(texts.collect())
}

/// As people write it.
pub(super) fn bare(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}

fn no_zone(name: &Name) -> Failure {
    Failure::other(format!("no zone is known that `{}` is in", bare(name)))
}

/// The owner of a start of authority: of the answer, or of what says that there is none (RFC 2308, section 3).
fn zone_in(answer: &Message, name: &Name) -> Option<Name> {
    let mut records = answer.answers.iter().chain(&answer.authorities);
    let start = records.find(|record| record.record_type() == RecordType::SOA)?;
    (start.name.zone_of(name) && !start.name.is_root()).then(|| start.name.to_lowercase())
}

/// The name servers in `/etc/resolv.conf`; where there are none, this machine is its own (resolv.conf(5)).
fn of_this_machine() -> Vec<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next())??.parse().ok()
    });
    let servers: Vec<SocketAddr> = servers.map(|address: IpAddr| SocketAddr::new(address, 53)).take(3).collect();
    if servers.is_empty() { vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53)] } else { servers }
}

/// One question to one server. There is an answer where the name or the records do not exist, too.
async fn ask(server: SocketAddr, name: &Name, kind: RecordType, recursive: bool) -> Result<Message, Mute> {
    let mut question = Message::query();
    question.metadata.recursion_desired = recursive;
    question.add_query(Query::query(name.clone(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(DATAGRAM);
    question.set_edns(edns);
    let bytes = question.to_vec().map_err(|_| Mute::Senseless)?;
    let mut last = Mute::Silent;
    for _ in 0..TRIES {
        match by_datagram(server, &question, &bytes).await {
            Ok(answer) if answer.metadata.truncation => {
                let answer = timeout(PATIENCE, by_stream(server, &bytes)).await.map_err(|_| Mute::Silent)?;
                let answer = answer.map_err(|_| Mute::Unreachable)?;
                return judged(answers(&question, &answer).ok_or(Mute::Senseless)?);
            }
            Ok(answer) => return judged(answer),
            Err(mute) => last = mute,
        }
    }
    Err(last)
}

/// Only what comes from that address with the number and the question that it was given is an answer. Others are
/// passed over: somebody may be guessing.
async fn by_datagram(server: SocketAddr, question: &Message, bytes: &[u8]) -> Result<Message, Mute> {
    let unreachable = |_: io::Error| Mute::Unreachable;
    let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((any, 0)).await.map_err(unreachable)?;
    socket.connect(server).await.map_err(unreachable)?;
    socket.send(bytes).await.map_err(unreachable)?;
    let until = Instant::now() + PATIENCE;
    let mut buffer = [0; 4096];
    let mut heard = Mute::Silent;
    loop {
        let Ok(received) = timeout_at(until, socket.recv(&mut buffer)).await else { return Err(heard) };
        let length = received.map_err(unreachable)?;
        match answers(question, &buffer[..length]) {
            Some(answer) => return Ok(answer),
            None => heard = Mute::Senseless,
        }
    }
}

/// A message with its length before it, and one back. Sixteen bits of length are the bound.
pub(super) async fn by_stream(server: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// The message, if it answers the question.
fn answers(question: &Message, bytes: &[u8]) -> Option<Message> {
    // Twelve bytes of head say how much there is to read before any of it is (RFC 1035, section 4.1.1).
    let counts = bytes.get(6..12)?.chunks_exact(2).map(|pair| usize::from(u16::from_be_bytes([pair[0], pair[1]])));
    if counts.sum::<usize>() > MOST_RECORDS {
        return None;
    }
    let answer = Message::from_vec(bytes).ok()?;
    let fits = answer.metadata.id == question.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer.metadata.op_code == OpCode::Query
        && answer.queries == question.queries;
    fits.then_some(answer)
}

fn judged(answer: Message) -> Result<Message, Mute> {
    match answer.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(answer),
        code => Err(Mute::Refuses(code)),
    }
}

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
