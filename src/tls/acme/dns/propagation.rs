//! Waiting until a text is seen: at every name server of its zone, since the authority may ask any of them.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use hickory_proto::rr::Name;
use tokio::time::{Instant, sleep_until};

use super::Settings;
use super::lookup::{Lookup, Mute, Server, texts};
use crate::tls::acme::Failure;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a name server says of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    Seen,
    Missing,
    Mute(Mute),
}

/// Comes back once all name servers have the text. One that says nothing is waited for half of the time: the authority,
/// too, goes on to the next.
pub(super) async fn wait(settings: &Settings, lookup: &Lookup, name: &Name, text: &str) -> Result<(), Failure> {
    let servers = servers(settings, lookup, name).await?;
    let began = Instant::now();
    let (half, end) = (began + settings.wait / 2, began + settings.wait);
    let mut pause = FIRST_PAUSE;
    loop {
        let sights = join_all(servers.iter().map(|server| look(server, name, text))).await;
        let now = Instant::now();
        let is_enough = |sight: &Sight| *sight == Sight::Seen || (now >= half && matches!(sight, Sight::Mute(_)));
        if sights.contains(&Sight::Seen) && sights.iter().all(is_enough) {
            return Ok(());
        }
        if now >= end {
            return Err(unseen(settings.wait, &servers, &sights));
        }
        sleep_until((now + pause).min(end)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn servers(settings: &Settings, lookup: &Lookup, name: &Name) -> Result<Vec<Server>, Failure> {
    if settings.servers.is_empty() {
        return lookup.servers(&lookup.zone(name).await?).await;
    }
    let named = |address: &SocketAddr| Server { name: address.to_string(), addresses: vec![*address] };
    Ok(settings.servers.iter().map(named).collect())
}

/// One of its addresses is enough: this machine may have no IPv6.
async fn look(server: &Server, name: &Name, text: &str) -> Sight {
    let mut sight = Sight::Mute(Mute::Unreachable);
    for address in &server.addresses {
        match texts(*address, name).await {
            Ok(texts) => return if texts.iter().any(|known| known == text) { Sight::Seen } else { Sight::Missing },
            Err(mute) => sight = Sight::Mute(mute),
        }
    }
    sight
}

fn unseen(waited: Duration, servers: &[Server], sights: &[Sight]) -> Failure {
    let said = servers.iter().zip(sights).filter_map(|(server, sight)| match sight {
        Sight::Seen => None,
        Sight::Missing => Some(format!("{} has it not", server.name)),
        Sight::Mute(mute) => Some(format!("{}: {mute}", server.name)),
    });
    let said: Vec<String> = said.collect();
    Failure::other(format!("the text is not seen after {} s ({})", waited.as_secs(), said.join("; ")))
}

#[cfg(test)]
mod tests;
