//! The way to those who are asked beside the requests: authorities, DNS services, responders, gates.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::http::fault::Cause;
use crate::upstream::dial;

/// Who is there answers within a second or two; a network that is not may say nothing at all.
const ARRIVAL: Duration = Duration::from_secs(10);

/// A connection to a name or an address (as URLs have it, with or without brackets), by whichever of its addresses answers
/// first: on many a machine those of IPv6 lead nowhere. Else why there is none, in the words of the system.
pub async fn reach(host: &str, port: u16) -> Result<TcpStream, String> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    dial::reach(bare, port, ARRIVAL).await.map_err(|fault| match (fault.cause, fault.detail) {
        (Cause::ConnectTimeout, _) => format!("nothing comes back within {} seconds", ARRIVAL.as_secs()),
        (_, Some(detail)) => detail.into(),
        (cause, None) => cause.code().to_owned(),
    })
}
