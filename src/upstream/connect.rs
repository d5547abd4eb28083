//! A connection to a server for bytes that nobody looks at: which server, and which one next.

use smallvec::SmallVec;

use super::dial;
use super::registry::InFlight;
use super::send::micros;
use super::stream::Stream;
use super::{Trace, Upstream};
use crate::http::fault::{Cause, Fault};

/// Servers that are tried, in all: a client waits for each of them.
const MOST_SERVERS: usize = 3;

/// A connection that is nobody else's.
#[derive(Debug)]
pub struct Connected {
    pub stream: Stream,
    /// Counts it as load of its server while it lasts.
    pub in_flight: Option<InFlight>,
}

impl Upstream {
    /// Connects to the server whose turn it is, else to the next: nothing has been said to one that is not there. The
    /// `announcement` goes before anything else.
    pub async fn connect(&self, announcement: &[u8], trace: &mut Trace) -> Result<Connected, Fault> {
        let mut tried = SmallVec::<[u16; MOST_SERVERS]>::new();
        let mut last = Fault::from(Cause::NoHealthyUpstream);
        while let Some(at) = self.balancer.choose(&self.servers, &tried).filter(|at| !tried.contains(at)) {
            let server = &self.servers[usize::from(at)];
            tried.push(at);
            (trace.server, trace.attempts) = (Some(at), trace.attempts + 1);
            let in_flight = self.counts_load().then(|| server.slot.enter());
            match dial::dial(&server.target, None, announcement, self.timeouts.connect).await {
                Ok(dialed) => {
                    server.slot.health.succeeded();
                    trace.connect_us = micros(dialed.connect);
                    return Ok(Connected { stream: dialed.stream, in_flight });
                }
                Err(fault) => {
                    trace.ejected = self.blame(server, fault.cause);
                    last = fault;
                }
            }
            if tried.len() == MOST_SERVERS {
                break;
            }
        }
        Err(last)
    }
}
