//! From a request's host to its site: one hash, or two where wildcards are in play, however many sites there are.

use std::collections::HashMap;
use std::sync::Arc;

use fnv::FnvBuildHasher;

use super::Site;
use crate::check::value::HostPattern;
use crate::http::connection::{PolicyId, TlsFacts};

/// What a site demands of the connections that its requests come on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demands {
    pub policy: PolicyId,
    /// The handshake must have named the host of the request.
    pub strict: bool,
}

/// The sites that answer at one address.
#[derive(Debug, Default)]
pub struct Router {
    sites: Vec<Arc<Site>>,
    /// Of each site.
    demands: Vec<Demands>,
    // The keys are the configuration's: nobody can choose them so that they collide.
    exact: HashMap<Box<str>, usize, FnvBuildHasher>,
    below: HashMap<Box<str>, usize, FnvBuildHasher>,
    any: Option<usize>,
}

impl Router {
    /// `None`: the site takes any host that no other site names.
    pub fn add(&mut self, host: Option<&HostPattern>, site: Arc<Site>, demands: Demands) {
        let at = self.sites.len();
        self.sites.push(site);
        self.demands.push(demands);
        match host {
            None => self.any = Some(at),
            Some(HostPattern::Exact(name)) => {
                self.exact.insert(name.clone(), at);
            }
            Some(HostPattern::Below(parent)) => {
                self.below.insert(parent.clone(), at);
            }
        }
    }

    /// The place of the most specific site for a host in lower case.
    #[must_use]
    pub fn find(&self, host: &str) -> Option<usize> {
        if let Some(site) = self.exact.get(host) {
            return Some(*site);
        }
        let wildcard = || if self.below.is_empty() { None } else { self.below.get(host.split_once('.')?.1).copied() };
        wildcard().or(self.any)
    }

    /// Whether a request for `host` may come to the site at a place on a connection with these facts: one that was made
    /// under the demands of another site met those and not the site's own (threat XT02).
    #[must_use]
    pub fn admits(&self, at: usize, tls: Option<&TlsFacts>, host: &str) -> bool {
        let Some(tls) = tls else { return true };
        let demands = self.demands[at];
        tls.policy == demands.policy && (!demands.strict || tls.sni.as_deref() == Some(host))
    }

    /// What the site at a place demands.
    #[must_use]
    pub fn demands(&self, at: usize) -> Demands {
        self.demands[at]
    }

    /// The site at a place that [`Router::find`] gave.
    #[must_use]
    pub fn site(&self, at: usize) -> &Site {
        &self.sites[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Value;

    #[test]
    fn r01_the_most_specific_host_wins() {
        let mut router = Router::default();
        for name in ["*.example.com", "a.example.com", "example.com"] {
            let site = Site {
                name: name.into(),
                at: crate::diagnostic::Span::default(),
                program: crate::site::Program::default(),
                log: None,
                passes: None,
            };
            router.add(Some(&HostPattern::parse(name).unwrap()), Arc::new(site), Demands::default());
        }
        let found = |host| router.find(host).map(|at| router.site(at).name.to_string());
        assert_eq!(found("a.example.com").as_deref(), Some("a.example.com"));
        assert_eq!(found("b.example.com").as_deref(), Some("*.example.com"));
        assert_eq!(found("b.c.example.com"), None);
        assert_eq!(found("example.com").as_deref(), Some("example.com"));
        assert_eq!(found(""), None);
    }

    #[test]
    fn xt02_a_connection_made_for_others_is_not_admitted() {
        let mut router = Router::default();
        let [own, other] = [PolicyId::next(), PolicyId::next()];
        for (name, demands) in [
            ("open.test", Demands::default()),
            ("closed.test", Demands { policy: own, strict: false }),
            ("strict.test", Demands { policy: PolicyId::default(), strict: true }),
        ] {
            let site = Site {
                name: name.into(),
                at: crate::diagnostic::Span::default(),
                program: crate::site::Program::default(),
                log: None,
                passes: None,
            };
            router.add(Some(&HostPattern::parse(name).unwrap()), Arc::new(site), demands);
        }
        let admits = |host: &str, sni: Option<&str>, policy| {
            let facts = TlsFacts { sni: sni.map(Box::from), policy, ..TlsFacts::default() };
            router.admits(router.find(host).unwrap(), Some(&facts), host)
        };
        let default = PolicyId::default();
        assert!(admits("open.test", Some("strict.test"), default));
        assert!(admits("open.test", None, default));
        assert!(!admits("open.test", Some("open.test"), own));
        assert!(admits("closed.test", Some("other.test"), own));
        assert!(!admits("closed.test", Some("closed.test"), default));
        assert!(!admits("closed.test", Some("closed.test"), other));
        assert!(admits("strict.test", Some("strict.test"), default));
        assert!(!admits("strict.test", Some("open.test"), default));
        assert!(!admits("strict.test", None, default));
        assert!(router.admits(1, None, "closed.test"), "there is no handshake on a plain connection");
    }
}
