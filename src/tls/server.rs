//! The server's side of TLS: one configuration for each set of demands, shared by all connections.

use std::sync::Arc;

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::{KeyLog, ServerConfig};

use super::provider::{Alpn, Group, Suite, Version, provider_with, versions};
use super::tickets::Tickets;
use super::trouble::Trouble;

/// What a site may say about TLS. `None` is rp's own list; order is preference.
#[derive(Debug, Clone)]
pub struct Options {
    pub alpn: Vec<Alpn>,
    pub min: Version,
    pub max: Version,
    pub groups: Option<Vec<Group>>,
    pub suites: Option<Vec<Suite>>,
    /// One for each policy on client certificates, kept across reloads.
    pub tickets: Arc<Tickets>,
    /// Who is asked for a certificate; `None`: nobody.
    pub clients: Option<Arc<dyn ClientCertVerifier>>,
    /// Who is told the keys of sessions; `None`: nobody.
    pub key_log: Option<Arc<dyn KeyLog>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            alpn: vec![Alpn::H2, Alpn::Http11],
            min: Version::Tls12,
            max: Version::Tls13,
            groups: None,
            suites: None,
            tickets: Tickets::new(),
            clients: None,
            key_log: None,
        }
    }
}

/// Builds the configuration. It fails when the options leave no suite, group or version in common.
pub fn server_config(resolver: Arc<dyn ResolvesServerCert>, options: &Options) -> Result<Arc<ServerConfig>, Trouble> {
    let provider = provider_with(options.groups.as_deref(), options.suites.as_deref());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(options.min, options.max))
        .map_err(|error| Trouble::NothingOffered(error.to_string()))?
        .with_client_cert_verifier(options.clients.clone().unwrap_or_else(WebPkiClientVerifier::no_client_auth))
        .with_cert_resolver(resolver);
    config.alpn_protocols = options.alpn.iter().map(|alpn| alpn.as_bytes().to_vec()).collect();
    // The client knows whether it has AES instructions.
    config.ignore_client_order = false;
    config.ticketer = Arc::clone(&options.tickets) as _;
    // One ticket instead of two takes 2 % off a handshake; none would add 7 % through lost resumptions.
    config.send_tls13_tickets = 1;
    // Tickets are stateless for both versions, so an attacker's sessions take no memory.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // Early data can be replayed (RFC 8446, section 8).
    config.max_early_data_size = 0;
    // The cache of compressed chains holds four: with more certificates than that each full handshake would deflate.
    config.cert_compressors = Vec::new();
    if let Some(key_log) = &options.key_log {
        config.key_log = Arc::clone(key_log);
    }
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::resolver::{Names, Resolver};

    fn build(options: &Options) -> Result<Arc<ServerConfig>, Trouble> {
        server_config(Resolver::new(Names::new()), options)
    }

    #[test]
    fn the_defaults_are_those_of_an_open_server() {
        let config = build(&Options::default()).unwrap();
        assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert_eq!(config.send_tls13_tickets, 1);
        assert_eq!(config.max_early_data_size, 0);
        assert!(!config.ignore_client_order);
        assert!(!config.session_storage.can_cache());
        assert_eq!(config.ticketer.lifetime(), 3600);
    }

    #[test]
    fn options_without_anything_in_common_are_refused() {
        let tls13 = Suite::parse("TLS_AES_128_GCM_SHA256").unwrap();
        for options in [
            Options { min: Version::Tls13, max: Version::Tls12, ..Options::default() },
            Options { max: Version::Tls12, suites: Some(vec![tls13]), ..Options::default() },
            Options { groups: Some(Vec::new()), ..Options::default() },
            Options { suites: Some(Vec::new()), ..Options::default() },
        ] {
            let trouble = build(&options).unwrap_err().to_string();
            assert!(trouble.starts_with("the TLS options leave nothing to offer ("), "{trouble}");
        }
    }
}
