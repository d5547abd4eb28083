//! Listening sockets. They belong to the process, keyed by address, and outlive every configuration: closing one of a
//! `SO_REUSEPORT` group resets the connections that wait in its queue.

use std::io;
use std::iter::once;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

use socket2::{Domain, Protocol, Socket, Type};

use crate::check::value::ListenAddress;

/// As long as the system lets it be (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;
/// Bytes of datagrams that wait for a worker, or for the network.
const BUFFER: usize = 2 * 1024 * 1024;

/// One socket, not yet in any runtime.
#[derive(Debug)]
pub enum Bound {
    Tcp(std::net::TcpListener),
    Unix(UnixListener),
}

impl Bound {
    /// Where it is, with the port that the system chose where 0 was asked for.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Where it is, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Tcp(listener) => listener.local_addr().map_or_else(|_| "?".to_owned(), |local| local.to_string()),
            Self::Unix(listener) => match listener.local_addr().ok().as_ref().and_then(|local| local.as_pathname()) {
                Some(path) => format!("unix/{}", path.display()),
                None => "unix".to_owned(),
            },
        }
    }

    /// The same socket under another descriptor.
    pub fn again(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener) => Self::Tcp(listener.try_clone()?),
            Self::Unix(listener) => Self::Unix(listener.try_clone()?),
        })
    }
}

/// A socket for each worker. `given` is one that the service manager has opened for us: it is shared.
pub fn bind(address: &ListenAddress, workers: usize, given: Option<Bound>) -> io::Result<Vec<Bound>> {
    if let Some(given) = given {
        let mut all = (1..workers).map(|_| given.again()).collect::<io::Result<Vec<_>>>()?;
        all.push(given);
        return Ok(all);
    }
    match address {
        ListenAddress::Unix(path) => {
            let first = Bound::Unix(unix(path)?);
            bind(address, workers, Some(first))
        }
        ListenAddress::Any(port) => match group(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), *port), workers) {
            // A kernel without IPv6.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)) => {
                group(SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), *port), workers)
            }
            outcome => outcome,
        },
        ListenAddress::Ip(address) => group(*address, workers),
    }
}

/// For each worker a socket, and one for datagrams at the same port.
pub fn bind_with_datagrams(address: &ListenAddress, workers: usize) -> Result<(Vec<Bound>, Vec<UdpSocket>), Beside> {
    // Where the system chooses a port, somebody else may have it for datagrams.
    let mut tries = if matches!(address, ListenAddress::Ip(ip) if ip.port() == 0) || *address == ListenAddress::Any(0) {
        20
    } else {
        1
    };
    loop {
        tries -= 1;
        let bound = bind(address, workers, None).map_err(Beside::Stream)?;
        match datagrams(&bound, workers) {
            Ok(datagrams) => return Ok((bound, datagrams)),
            Err(error) if tries == 0 => return Err(Beside::Datagram(error)),
            Err(_) => {}
        }
    }
}

/// Which of two sockets at one port could not be had.
#[derive(Debug)]
pub enum Beside {
    Stream(io::Error),
    Datagram(io::Error),
}

/// Sockets for datagrams where these listen.
pub fn datagrams(beside: &[Bound], workers: usize) -> io::Result<Vec<UdpSocket>> {
    datagrams_at(beside.first().and_then(Bound::local).ok_or(io::ErrorKind::AddrNotAvailable)?, workers)
}

/// The same at an address.
pub fn datagrams_at(address: SocketAddr, workers: usize) -> io::Result<Vec<UdpSocket>> {
    let open = |shared| {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        only_its_family(&socket, address)?;
        socket.set_reuse_port(shared)?;
        socket.bind(&address.into())?;
        socket.set_nonblocking(true)?;
        // The system's default holds 150 full datagrams. It gives what it may (`net.core.rmem_max`).
        let _ = (socket.set_recv_buffer_size(BUFFER), socket.set_send_buffer_size(BUFFER));
        io::Result::Ok(socket)
    };
    // As below: nobody else is to be in the group.
    let first = open(false)?;
    first.set_reuse_port(true)?;
    let fellows = (1..workers).map(|_| open(true));
    once(Ok(first)).chain(fellows).map(|socket| socket.map(Into::into)).collect()
}

/// Sockets that share a port, so that the kernel spreads connections over the workers.
fn group(address: SocketAddr, workers: usize) -> io::Result<Vec<Bound>> {
    let open = |address: SocketAddr, shared| {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        prepare(&socket, address)?;
        socket.set_reuse_port(shared)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        io::Result::Ok(socket)
    };
    // In a group, a second process could take half of the traffic unnoticed. So the first socket listens by itself, which
    // fails where anybody else does, and lets its fellows in only then: to bind what was tried before leaves a moment for
    // another to do the same.
    let first = open(address, false)?;
    first.set_reuse_port(true)?;
    let address = first.local_addr()?.as_socket().unwrap_or(address);
    let fellows = (1..workers).map(|_| open(address, true));
    once(Ok(first)).chain(fellows).map(|socket| socket.map(|socket| Bound::Tcp(socket.into()))).collect()
}

fn prepare(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    only_its_family(socket, address)
}

fn only_its_family(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if let SocketAddr::V6(v6) = address {
        // One socket for both families where the address is `::`.
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }
    Ok(())
}

/// A socket file that nobody answers on is a leftover and is replaced; one that somebody answers on is an error.
pub fn unix(path: &Path) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match std::fs::symlink_metadata(path) {
        Ok(meta) if std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()) => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket stands there")),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Barrier;

    use super::*;

    const WORKERS: usize = 3;

    /// Eight who want a port at the same moment, and what each of them got.
    fn at_once<T: Send>(bind: impl Fn() -> io::Result<T> + Sync) -> Vec<io::Result<T>> {
        let (barrier, bind) = (Barrier::new(8), &bind);
        std::thread::scope(|scope| {
            let one = || {
                barrier.wait();
                bind()
            };
            let all: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        })
    }

    /// A port that is free for both protocols, at an address of our own: at 127.0.0.1 whatever runs beside may get it next.
    fn free() -> SocketAddr {
        let any = (Ipv4Addr::new(127, 83, 0, 1), 0);
        loop {
            let address = std::net::TcpListener::bind(any).unwrap().local_addr().unwrap();
            if UdpSocket::bind(address).is_ok() {
                return address;
            }
        }
    }

    #[test]
    fn of_those_who_want_a_port_at_once_one_gets_it_whole() {
        // Where the port was only tried before, and let go again, two of eight had it once in some hundred times.
        for _ in 0..1000 {
            let address = free();
            let outcomes = at_once(|| group(address, WORKERS));
            assert_eq!(outcomes.iter().flatten().map(Vec::len).collect::<Vec<_>>(), [WORKERS]);
            let outcomes = at_once(|| datagrams_at(address, WORKERS));
            assert_eq!(outcomes.iter().flatten().map(Vec::len).collect::<Vec<_>>(), [WORKERS]);
        }
    }

    #[test]
    fn whoever_leaves_the_choice_to_the_system_shares_with_nobody() {
        for _ in 0..50 {
            let outcomes = at_once(|| group((Ipv4Addr::LOCALHOST, 0).into(), WORKERS));
            let mut ports: Vec<_> = outcomes.iter().map(|all| all.as_ref().unwrap()[0].local().unwrap()).collect();
            ports.sort_unstable();
            ports.dedup();
            assert_eq!(ports.len(), 8);
        }
    }

    /// The kernel spreads connections over all of a group, the one that came first, too.
    #[test]
    fn each_socket_of_a_group_gets_its_share() {
        let bound = group((Ipv4Addr::LOCALHOST, 0).into(), WORKERS).unwrap();
        let address = bound[0].local().unwrap();
        let clients: Vec<_> = (0..200).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        let shares = bound.iter().map(|bound| match bound {
            Bound::Tcp(listener) => std::iter::from_fn(|| listener.accept().ok()).count(),
            Bound::Unix(_) => 0,
        });
        let shares: Vec<_> = shares.collect();
        assert!(shares.iter().all(|share| *share > 20), "{shares:?}");
        assert_eq!(shares.iter().sum::<usize>(), clients.len());
    }
}
