//! Which addresses the process listens on, and which sites are behind each.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Global, SiteAddress, SiteModel, Transport};
use crate::check::value::ListenAddress;
use crate::diagnostic::Span;
use crate::directive::Front;
use crate::directive::bind::BindTo;

/// One address to listen on, as the sites ask for it.
#[derive(Debug)]
pub(super) struct Planned<'m> {
    pub transport: Transport,
    pub port: u16,
    pub at: Span,
    /// Site by index, and which of its addresses led here.
    pub sites: Vec<(usize, &'m SiteAddress)>,
    /// Sites that are only sent on to https from here.
    pub redirects: Vec<&'m SiteAddress>,
}

pub(super) type Plan<'m> = BTreeMap<ListenAddress, Planned<'m>>;

/// Works out the listeners. A port all of whose sites are loopback names is opened on the loopback interface only, so
/// that trying something out exposes nothing.
pub(super) fn plan<'m>(sites: &'m [SiteModel], global: &Global) -> Plan<'m> {
    let mut plan = Plan::new();
    let mut private: BTreeMap<u16, bool> = BTreeMap::new();
    for (site, address) in unbound(sites) {
        let only = private.entry(address.port(global)).or_insert(true);
        *only &= address.is_loopback();
        if redirects(site, address, global) {
            *private.entry(global.http_port).or_insert(true) &= address.is_loopback();
        }
    }
    for (index, site) in sites.iter().enumerate() {
        for address in &site.addresses {
            for listen in listens(site, address, address.port(global), &private) {
                add(&mut plan, listen, address, global).sites.push((index, address));
            }
        }
    }
    for (site, address) in sites.iter().flat_map(|site| site.addresses.iter().map(move |address| (site, address))) {
        if !redirects(site, address, global) {
            continue;
        }
        for listen in listens(site, address, global.http_port, &private) {
            let planned = plan.entry(listen).or_insert_with(|| Planned {
                transport: Transport::Plain,
                port: global.http_port,
                at: address.at,
                sites: Vec::new(),
                redirects: Vec::new(),
            });
            if planned.transport == Transport::Plain
                && !planned.sites.iter().any(|(_, known)| known.host == address.host)
            {
                planned.redirects.push(address);
            }
        }
    }
    plan
}

fn add<'p, 'm>(
    plan: &'p mut Plan<'m>,
    listen: ListenAddress,
    address: &'m SiteAddress,
    global: &Global,
) -> &'p mut Planned<'m> {
    plan.entry(listen).or_insert_with(|| Planned {
        transport: address.transport,
        port: address.port(global),
        at: address.at,
        sites: Vec::new(),
        redirects: Vec::new(),
    })
}

/// An https site at the default port is also reached at the http port, and sent on from there (requirement T04). What is
/// passed through may not be HTTP.
fn redirects(site: &SiteModel, address: &SiteAddress, global: &Global) -> bool {
    global.redirect
        && address.transport == Transport::Tls
        && address.port.is_none_or(|port| port == global.https_port)
        && address.host.is_some()
        && site.passes_to().is_none()
}

fn unbound(sites: &[SiteModel]) -> impl Iterator<Item = (&SiteModel, &SiteAddress)> {
    sites
        .iter()
        .filter(|site| bind(site).is_none())
        .flat_map(|site| site.addresses.iter().filter(|a| a.unix.is_none()).map(move |address| (site, address)))
}

fn bind(site: &SiteModel) -> Option<&[BindTo]> {
    site.body
        .statements
        .iter()
        .find_map(|statement| if let Some(Front::Bind(to)) = statement.directive.front() { Some(to) } else { None })
}

fn listens(site: &SiteModel, address: &SiteAddress, port: u16, private: &BTreeMap<u16, bool>) -> Vec<ListenAddress> {
    if let Some(path) = &address.unix {
        return vec![ListenAddress::Unix(path.clone())];
    }
    match bind(site) {
        Some(to) => to
            .iter()
            .map(|to| match to {
                BindTo::Ip(ip) => ListenAddress::Ip(SocketAddr::new(*ip, port)),
                BindTo::Unix(path) => ListenAddress::Unix(path.clone()),
            })
            .collect(),
        None if private.get(&port) == Some(&true) => {
            let at = |ip: IpAddr| ListenAddress::Ip(SocketAddr::new(ip, port));
            // Two sockets at port 0 would get two ports.
            if port == 0 {
                vec![at(Ipv4Addr::LOCALHOST.into())]
            } else {
                vec![at(Ipv4Addr::LOCALHOST.into()), at(Ipv6Addr::LOCALHOST.into())]
            }
        }
        None => vec![ListenAddress::Any(port)],
    }
}
