//! Sockets that the service manager has opened for us (`LISTEN_FDS`): ports below 1024 without a right to them, and no
//! connection refused while rp is being replaced.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

use super::listener::Bound;
use crate::check::value::ListenAddress;

/// What was handed to this process. It is kept for as long as the process lives, since a reload may ask for a socket
/// that nothing used so far.
#[derive(Debug, Default)]
pub struct Given(Vec<Bound>);

impl Given {
    /// Those that listen; others are reported and left alone.
    pub fn from_environment() -> Self {
        let mut handed = ListenFd::from_env();
        let mut given = Vec::new();
        for index in 0..handed.len() {
            let socket = match handed.take_tcp_listener(index) {
                Ok(socket) => socket.map(Bound::Tcp),
                Err(_) => handed.take_unix_listener(index).ok().flatten().map(Bound::Unix),
            };
            match socket.map(|socket| ready(&socket).map(|()| socket)) {
                Some(Ok(socket)) => given.push(socket),
                _ => tracing::warn!(index, "the service manager handed over something that is no listening socket"),
            }
        }
        Self(given)
    }

    /// The socket that listens on this address, if there is one.
    pub fn find(&self, address: &ListenAddress) -> Option<io::Result<Bound>> {
        self.0.iter().find(|bound| listens(bound, address)).map(Bound::again)
    }

    /// Sockets that none of these addresses takes.
    pub fn unused<'a>(
        &'a self,
        taken: impl Iterator<Item = &'a ListenAddress> + Clone,
    ) -> impl Iterator<Item = String> {
        self.0.iter().filter(move |bound| !taken.clone().any(|address| listens(bound, address))).map(Bound::shown)
    }
}

/// It has to be listening, and must not block a worker.
fn ready(bound: &Bound) -> io::Result<()> {
    let listens = match bound {
        Bound::Tcp(listener) => socket2::SockRef::from(listener).is_listener()?,
        Bound::Unix(listener) => socket2::SockRef::from(listener).is_listener()?,
    };
    if !listens {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    match bound {
        Bound::Tcp(listener) => listener.set_nonblocking(true),
        Bound::Unix(listener) => listener.set_nonblocking(true),
    }
}

fn listens(bound: &Bound, address: &ListenAddress) -> bool {
    match (bound, address) {
        (Bound::Tcp(_), ListenAddress::Any(port)) => {
            bound.local().is_some_and(|local| local.port() == *port && local.ip().is_unspecified())
        }
        (Bound::Tcp(_), ListenAddress::Ip(wanted)) => bound.local().is_some_and(|local| same(local, *wanted)),
        (Bound::Unix(listener), ListenAddress::Unix(path)) => is_at(listener, path),
        _ => false,
    }
}

/// Without the flow label and scope that a socket address of IPv6 also bears.
fn same(one: SocketAddr, other: SocketAddr) -> bool {
    one.ip() == other.ip() && one.port() == other.port()
}

fn is_at(listener: &UnixListener, path: &std::path::Path) -> bool {
    listener.local_addr().is_ok_and(|local| local.as_pathname() == Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_found_by_their_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let given = Given(vec![Bound::Tcp(listener)]);
        let found = |address: &ListenAddress| given.find(address).and_then(|found| found.unwrap().local());
        assert_eq!(found(&ListenAddress::Ip(local)), Some(local));
        // A socket on one interface is not what `:port` asks for.
        assert_eq!(found(&ListenAddress::Any(local.port())), None);
        assert_eq!(found(&ListenAddress::Unix("/run/x".into())), None);
        assert_eq!(given.unused([ListenAddress::Ip(local)].iter()).count(), 0);
        assert_eq!(given.unused([].iter()).collect::<Vec<_>>(), [local.to_string()]);
    }

    #[test]
    fn a_socket_that_does_not_listen_is_refused() {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        assert!(ready(&Bound::Tcp(socket.into())).is_err());
        assert!(ready(&Bound::Tcp(std::net::TcpListener::bind("127.0.0.1:0").unwrap())).is_ok());
    }
}
