//! From a request's host to its site: one hash, or two where wildcards are in play, however many sites there are.

use std::collections::HashMap;
use std::sync::Arc;

use fnv::FnvBuildHasher;

use super::Site;
use crate::check::value::HostPattern;

/// The sites that answer at one address.
#[derive(Debug, Default)]
pub struct Router {
    sites: Vec<Arc<Site>>,
    // The keys are the configuration's: nobody can choose them so that they collide.
    exact: HashMap<Box<str>, usize, FnvBuildHasher>,
    below: HashMap<Box<str>, usize, FnvBuildHasher>,
    any: Option<usize>,
}

impl Router {
    /// `None`: the site takes any host that no other site names.
    pub fn add(&mut self, host: Option<&HostPattern>, site: Arc<Site>) {
        let at = self.sites.len();
        self.sites.push(site);
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
            };
            router.add(Some(&HostPattern::parse(name).unwrap()), Arc::new(site));
        }
        let found = |host| router.find(host).map(|at| router.site(at).name.to_string());
        assert_eq!(found("a.example.com").as_deref(), Some("a.example.com"));
        assert_eq!(found("b.example.com").as_deref(), Some("*.example.com"));
        assert_eq!(found("b.c.example.com"), None);
        assert_eq!(found("example.com").as_deref(), Some("example.com"));
        assert_eq!(found(""), None);
    }
}
