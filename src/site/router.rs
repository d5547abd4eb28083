//! From a request's host to its site: one hash, or two where wildcards are in play, however many sites there are.

use std::collections::HashMap;
use std::sync::Arc;

use super::Site;
use crate::check::value::HostPattern;

/// The sites that answer at one address.
#[derive(Debug, Default)]
pub struct Router {
    exact: HashMap<Box<str>, Arc<Site>>,
    below: HashMap<Box<str>, Arc<Site>>,
    any: Option<Arc<Site>>,
}

impl Router {
    /// `None`: the site takes any host that no other site names.
    pub fn add(&mut self, host: Option<&HostPattern>, site: Arc<Site>) {
        match host {
            None => self.any = Some(site),
            Some(HostPattern::Exact(name)) => {
                self.exact.insert(name.clone(), site);
            }
            Some(HostPattern::Below(parent)) => {
                self.below.insert(parent.clone(), site);
            }
        }
    }

    /// The most specific site for a host in lower case.
    #[must_use]
    pub fn find(&self, host: &str) -> Option<&Arc<Site>> {
        if let Some(site) = self.exact.get(host) {
            return Some(site);
        }
        let wildcard = || if self.below.is_empty() { None } else { self.below.get(host.split_once('.')?.1) };
        wildcard().or(self.any.as_ref())
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
            let site = Site { name: name.into(), program: crate::site::Program::default(), log: None };
            router.add(Some(&HostPattern::parse(name).unwrap()), Arc::new(site));
        }
        let found = |host| router.find(host).map(|site| site.name.to_string());
        assert_eq!(found("a.example.com").as_deref(), Some("a.example.com"));
        assert_eq!(found("b.example.com").as_deref(), Some("*.example.com"));
        assert_eq!(found("b.c.example.com"), None);
        assert_eq!(found("example.com").as_deref(), Some("example.com"));
        assert_eq!(found(""), None);
    }
}
