//! `on_demand` of a site: whether there is any name that it could mean.

use super::{SiteAddress, SiteModel};
use crate::check::Check;
use crate::diagnostic::{Code, Mistake};
use crate::directive::Front;
use crate::directive::tls::TlsModel;
use crate::tls::Name;

/// Whether the names of a site are not all known before: it is for any host, or for those below a wildcard.
pub(super) fn is_open(address: &SiteAddress) -> bool {
    match address.name() {
        None => address.host.is_none(),
        Some(name) => matches!(name, Name::Wildcard(_)),
    }
}

/// Sites whose names are all known get their certificates without anybody coming.
pub(super) fn idle(sites: &[SiteModel], cx: &mut Check) {
    for site in sites.iter().filter(|site| !site.addresses.iter().any(is_open)) {
        let tls = site.body.statements.iter().find_map(|statement| match statement.directive.front() {
            Some(Front::Tls(TlsModel { demand: Some((_, at)), .. })) => Some(*at),
            _ => None,
        });
        if let (Some(at), Some(address)) = (tls, site.addresses.first()) {
            let text = format!("`{}` is known, so its certificate is asked for without anybody coming", address.text);
            cx.report(Mistake::new(Code::W0009, at, text).help(
                "remove it, or have a site for names that are not known: https://:443 { … }, *.example.com { … }",
            ));
        }
    }
}
