//! Connections by themselves: a configuration that serves streams of this process, without listeners, workers and a clock.
//! What fuzzers, and the tests that repeat what they found, begin with.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Weak;
use std::sync::Arc;

use tokio::net::UnixStream;

use super::announced::hear;
use super::build::{Refused, Source};
use super::connection::{Terms, serve_http1, serve_http2};
pub use super::framing::{Broken, Framing};
use super::watched::Watch;
use super::world::{Shared, View};
use crate::check::value::ListenAddress;
use crate::diagnostic::{Code, Mistake, Span};
use crate::http::connection::Connection;
use crate::http::proxy_protocol::Said;
use crate::model::{Checked, Inherited, Legacy, Purpose, Timeouts, compile};

/// The first door of a configuration. A thread may have one: what holds for a worker is kept by thread.
#[derive(Debug)]
pub struct Alone {
    shared: Arc<Shared>,
    listen: ListenAddress,
    port: u16,
    last: RefCell<Weak<Watch>>,
}

impl Alone {
    /// Builds it; neither logs nor certificates are touched.
    pub fn of(source: &Source) -> Result<Self, Refused> {
        let Checked { model, sources, findings, .. } = source.load();
        let Some(model) = model else { return Err(Refused { findings, sources }) };
        let inherited = Inherited { legacy: Legacy::default(), purpose: Purpose::Rehearse, files: &mut Vec::new() };
        let world = match compile(&model, inherited) {
            Ok(world) => world,
            Err(findings) => return Err(Refused { findings, sources }),
        };
        let Some((listen, door)) = world.doors.first_key_value() else {
            let mistake = Mistake::new(Code::E0052, Span::default(), "nothing listens; write a site");
            return Err(Refused::one(mistake, sources));
        };
        let (listen, port) = (listen.clone(), door.port);
        Ok(Self { shared: Shared::new(world), listen, port, last: RefCell::default() })
    }

    /// Serves HTTP/1 until the connection ends.
    pub async fn serve_http1(&self, stream: UnixStream) {
        let (connection, view, watch, terms) = self.arrive();
        serve_http1(stream, connection, view, watch, terms).await;
    }

    /// Serves HTTP/2, preface and all.
    pub async fn serve_http2(&self, stream: UnixStream) {
        let (connection, view, watch, terms) = self.arrive();
        serve_http2(stream, connection, view, watch, terms).await;
    }

    /// What a proxy announces at the beginning of the connection; `None` where that is no good.
    pub async fn hear(stream: &mut UnixStream) -> Option<Said> {
        hear(stream, None, &Watch::new(Timeouts::default())).await
    }

    /// Whether something of the last connection is still there.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.last.borrow().strong_count() > 0
    }

    /// A connection from 192.0.2.1.
    fn arrive(&self) -> (Connection, View, std::rc::Rc<Watch>, Terms) {
        let watch = Watch::new(self.shared.timeouts());
        *self.last.borrow_mut() = std::rc::Rc::downgrade(&watch);
        let peer = SocketAddr::from(([192, 0, 2, 1], 40_000));
        let view = View::new(self.shared.clone(), self.listen.clone());
        let terms = Terms::of(&self.shared.world());
        (Connection::new(Some(peer), self.port, None), view, watch, terms)
    }
}
