//! Counters of the whole process, and their text in the forms that are collected: OpenMetrics 1.0, and the older one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// A number that only grows. Each has a cache line of its own, so that cores do not fight over neighbours.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number of things that are there now.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Gauge(AtomicU64);

impl Gauge {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts one thing for as long as the guard lives.
    pub fn hold(&'static self) -> Held {
        self.0.fetch_add(1, Relaxed);
        Held(self)
    }

    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that one thread finds out again and again.
#[derive(Debug, Default)]
pub struct Measure(AtomicU64);

impl Measure {
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// One thing that a [`Gauge`] counts.
#[derive(Debug)]
pub struct Held(&'static Gauge);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

/// Answers, by the first digit of their status; of one thread.
type Answers = [AtomicU64; 5];

/// Counted by each thread for itself: a number that all cores write costs more than a whole step of a site.
#[derive(Debug)]
struct PerThread(Mutex<Vec<Arc<Answers>>>);

thread_local! {
    /// This thread's part, with what it is a part of.
    static OWN: RefCell<Option<(*const PerThread, Arc<Answers>)>> = const { RefCell::new(None) };
}

impl PerThread {
    fn add(&self, class: usize) {
        // A thread that ends counts no more.
        let _ = OWN.try_with(|own| {
            let mut own = own.borrow_mut();
            if !own.as_ref().is_some_and(|(whole, _)| std::ptr::eq(*whole, self)) {
                let answers = Arc::<Answers>::default();
                self.0.lock().unwrap_or_else(PoisonError::into_inner).push(answers.clone());
                *own = Some((self, answers));
            }
            if let Some((_, answers)) = &*own {
                // Nobody else writes it.
                answers[class].store(answers[class].load(Relaxed) + 1, Relaxed);
            }
        });
    }

    fn sum(&self, class: usize) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|answers| answers[class].load(Relaxed)).sum()
    }
}

/// Requests under way, counted by each thread for itself: begun and ended.
#[derive(Debug)]
pub struct Active(Mutex<Vec<Arc<AtomicU64>>>);

thread_local! {
    static OWN_ACTIVE: RefCell<Option<Arc<AtomicU64>>> = const { RefCell::new(None) };
}

/// A request that is under way, until it is dropped. It never leaves its thread.
#[derive(Debug)]
pub struct UnderWay(std::marker::PhantomData<std::rc::Rc<()>>);

impl Active {
    pub fn begin(&'static self) -> UnderWay {
        self.change(1);
        UnderWay(std::marker::PhantomData)
    }

    fn change(&self, by: u64) {
        // A thread that ends counts no more.
        let _ = OWN_ACTIVE.try_with(|own| {
            let mut own = own.borrow_mut();
            let own = own.get_or_insert_with(|| {
                let own = Arc::<AtomicU64>::default();
                self.0.lock().unwrap_or_else(PoisonError::into_inner).push(own.clone());
                own
            });
            // Nobody else writes it.
            own.store(own.load(Relaxed).wrapping_add(by), Relaxed);
        });
    }

    pub fn value(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|own| own.load(Relaxed)).sum()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        global().requests_active.change(u64::MAX);
    }
}

/// What came of asking authorities for certificates: how often, by the authority and by the outcome. A few times a day, so a
/// lock does no harm.
#[derive(Debug)]
pub struct Orders(Mutex<BTreeMap<(Box<str>, &'static str), u64>>);

impl Orders {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Counts one; `result` is `ok`, or in one word what went wrong.
    pub fn add(&self, authority: &str, result: &'static str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry((authority.into(), result)).or_default() += 1;
    }
}

/// Handshakes that failed, by what carried them and why. Whoever has one fail has made both sides work for it, so the lock
/// is not what it costs.
#[derive(Debug)]
pub struct Failures(Mutex<BTreeMap<(&'static str, &'static str), u64>>);

impl Failures {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Counts one; both are one of a few words.
    pub fn add(&self, transport: &'static str, reason: &'static str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry((transport, reason)).or_default() += 1;
    }
}

/// In which form the numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `application/openmetrics-text; version=1.0.0; charset=utf-8`.
    OpenMetrics,
    /// `text/plain; version=0.0.4; charset=utf-8`, which all collectors take.
    Plain,
}

/// Numbers as text, family by family.
#[derive(Debug)]
pub struct Page {
    text: String,
    form: Form,
}

impl Page {
    /// The numbers of this process, to which more can be added.
    #[must_use]
    pub fn of_process(form: Form) -> Self {
        let mut page = Self { text: String::with_capacity(4096), form };
        global().render(&mut page);
        page
    }

    pub fn counter(&mut self, name: &str, help: &str) {
        // The older form knows a family by the names of its samples.
        let suffix = if self.form == Form::Plain { "_total" } else { "" };
        self.line(format_args!("# TYPE {name}{suffix} counter\n# HELP {name}{suffix} {help}"));
    }

    pub fn gauge(&mut self, name: &str, help: &str) {
        self.line(format_args!("# TYPE {name} gauge\n# HELP {name} {help}"));
    }

    /// One number. A counter's name ends in `_total`.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.text.push_str(if at == 0 { "{" } else { "," });
            self.text.push_str(label);
            self.text.push_str("=\"");
            for sign in text.chars() {
                match sign {
                    '\n' => self.text.push_str("\\n"),
                    '"' | '\\' => self.text.extend(['\\', sign]),
                    _ => self.text.push(sign),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        self.line(format_args!(" {value}"));
    }

    #[must_use]
    pub fn finish(mut self) -> String {
        if self.form == Form::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

#[derive(Debug)]
pub struct Metrics {
    requests: PerThread,
    pub connections_accepted: Counter,
    pub connections_open: Gauge,
    /// Beyond what one address may have.
    pub connections_refused: Counter,
    pub handshake_failures: Failures,
    /// Requests that have a head and not yet the whole of their answer; tunnels are none.
    pub requests_active: Active,
    /// Requests that were answered 503 for want of memory.
    pub requests_shed: Counter,
    /// Requests that were answered 500 for a mistake of ours.
    pub panics: Counter,
    /// Bytes of the process in memory, as measured last.
    pub memory_resident: Measure,
    /// Access-log lines that were lost: the writer was too slow, or the disk was full.
    pub log_lines_dropped: Counter,
    pub reloads_ok: Counter,
    pub reloads_failed: Counter,
    pub upstream_connects: Counter,
    pub upstream_connects_failed: Counter,
    /// Connections whose TLS is passed through: those that are open, and all of them, by whether a server was reached.
    pub passed_open: Gauge,
    pub passed_ok: Counter,
    pub passed_failed: Counter,
    pub certificate_orders: Orders,
}

/// The one of this process.
pub fn global() -> &'static Metrics {
    static GLOBAL: Metrics = Metrics::new();
    &GLOBAL
}

impl Metrics {
    const fn new() -> Self {
        Self {
            requests: PerThread(Mutex::new(Vec::new())),
            connections_accepted: Counter::new(),
            connections_open: Gauge::new(),
            connections_refused: Counter::new(),
            handshake_failures: Failures::new(),
            requests_active: Active(Mutex::new(Vec::new())),
            requests_shed: Counter::new(),
            panics: Counter::new(),
            memory_resident: Measure(AtomicU64::new(0)),
            log_lines_dropped: Counter::new(),
            reloads_ok: Counter::new(),
            reloads_failed: Counter::new(),
            upstream_connects: Counter::new(),
            upstream_connects_failed: Counter::new(),
            passed_open: Gauge::new(),
            passed_ok: Counter::new(),
            passed_failed: Counter::new(),
            certificate_orders: Orders::new(),
        }
    }

    /// Counts an answer by the class of its status. What lies outside of 100 to 599 counts as 5xx: it is our mistake.
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100);
        self.requests.add(if (1..=5).contains(&class) { class - 1 } else { 4 });
    }

    fn render(&self, page: &mut Page) {
        page.counter("rp_requests", "Requests that were answered, by the class of the status.");
        for (at, class) in ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().enumerate() {
            page.sample("rp_requests_total", &[("class", class)], self.requests.sum(at));
        }
        let mut counter = |name: &str, help, counter: &Counter| {
            page.counter(name, help);
            page.sample(&format!("{name}_total"), &[], counter.value());
        };
        counter("rp_connections_accepted", "Connections that clients opened.", &self.connections_accepted);
        counter("rp_connections_refused", "Connections beyond what one address may have.", &self.connections_refused);
        counter("rp_requests_shed", "Requests that were answered 503 for want of memory.", &self.requests_shed);
        counter("rp_panics", "Requests that were answered 500 for a mistake in rp.", &self.panics);
        counter("rp_log_lines_dropped", "Access-log lines that were lost.", &self.log_lines_dropped);
        let mut gauge = |name, help, value: u64| {
            page.gauge(name, help);
            page.sample(name, &[], value);
        };
        gauge("rp_connections_open", "Connections of clients that are open now.", self.connections_open.value());
        gauge("rp_requests_active", "Requests under way, without tunnels.", self.requests_active.value());
        gauge("rp_passthrough_open", "Connections that are passed through now.", self.passed_open.value());
        gauge("rp_memory_resident_bytes", "Memory that the process takes.", self.memory_resident.value());
        let mut outcomes = |name, help, [ok, failed]: [&Counter; 2]| {
            page.counter(name, help);
            page.sample(&format!("{name}_total"), &[("result", "ok")], ok.value());
            page.sample(&format!("{name}_total"), &[("result", "failed")], failed.value());
        };
        let reloads = [&self.reloads_ok, &self.reloads_failed];
        outcomes("rp_reloads", "Times that the configuration was read again, by outcome.", reloads);
        let connects = [&self.upstream_connects, &self.upstream_connects_failed];
        outcomes("rp_upstream_connects", "Connections to upstreams that were tried, by outcome.", connects);
        let passed = [&self.passed_ok, &self.passed_failed];
        let help = "Connections that were passed through, by whether a server was reached.";
        outcomes("rp_passthrough_connections", help, passed);
        page.counter("rp_handshake_failures", "Handshakes of clients that failed, by what carried them and why.");
        for ((transport, reason), count) in &*self.handshake_failures.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let labels = [("transport", *transport), ("reason", *reason)];
            page.sample("rp_handshake_failures_total", &labels, count);
        }
        page.counter("rp_certificate_orders", "Certificates that an authority was asked for, by outcome.");
        for ((authority, result), count) in &*self.certificate_orders.0.lock().unwrap_or_else(PoisonError::into_inner) {
            page.sample("rp_certificate_orders_total", &[("authority", authority), ("result", result)], count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text() {
        static METRICS: Metrics = Metrics::new();
        for status in [100, 200, 204, 301, 404, 499, 502, 0, 999] {
            METRICS.answered(status);
        }
        METRICS.connections_accepted.add(3);
        let _one = METRICS.connections_open.hold();
        drop(METRICS.connections_open.hold());
        METRICS.log_lines_dropped.add(7);
        METRICS.reloads_failed.add(1);
        METRICS.upstream_connects.add(2);
        for (transport, reason) in [("tcp", "timeout"), ("quic", "alpn"), ("tcp", "timeout")] {
            METRICS.handshake_failures.add(transport, reason);
        }
        METRICS.certificate_orders.add("ca.test", "ok");
        METRICS.certificate_orders.add("a\"\\\nb", "challenge");
        let mut page = Page { text: String::new(), form: Form::OpenMetrics };
        METRICS.render(&mut page);
        assert_eq!(page.finish(), WHOLE);
        let mut page = Page { text: String::new(), form: Form::Plain };
        METRICS.render(&mut page);
        let plain = page.finish();
        assert!(
            plain.starts_with("# TYPE rp_requests_total counter\n# HELP rp_requests_total Requests that"),
            "{plain}"
        );
        assert!(plain.contains("\n# TYPE rp_connections_open gauge\n") && !plain.contains("# EOF"), "{plain}");
    }

    const WHOLE: &str = "\
# TYPE rp_requests counter
# HELP rp_requests Requests that were answered, by the class of the status.
rp_requests_total{class=\"1xx\"} 1
rp_requests_total{class=\"2xx\"} 2
rp_requests_total{class=\"3xx\"} 1
rp_requests_total{class=\"4xx\"} 2
rp_requests_total{class=\"5xx\"} 3
# TYPE rp_connections_accepted counter
# HELP rp_connections_accepted Connections that clients opened.
rp_connections_accepted_total 3
# TYPE rp_connections_refused counter
# HELP rp_connections_refused Connections beyond what one address may have.
rp_connections_refused_total 0
# TYPE rp_requests_shed counter
# HELP rp_requests_shed Requests that were answered 503 for want of memory.
rp_requests_shed_total 0
# TYPE rp_panics counter
# HELP rp_panics Requests that were answered 500 for a mistake in rp.
rp_panics_total 0
# TYPE rp_log_lines_dropped counter
# HELP rp_log_lines_dropped Access-log lines that were lost.
rp_log_lines_dropped_total 7
# TYPE rp_connections_open gauge
# HELP rp_connections_open Connections of clients that are open now.
rp_connections_open 1
# TYPE rp_requests_active gauge
# HELP rp_requests_active Requests under way, without tunnels.
rp_requests_active 0
# TYPE rp_passthrough_open gauge
# HELP rp_passthrough_open Connections that are passed through now.
rp_passthrough_open 0
# TYPE rp_memory_resident_bytes gauge
# HELP rp_memory_resident_bytes Memory that the process takes.
rp_memory_resident_bytes 0
# TYPE rp_reloads counter
# HELP rp_reloads Times that the configuration was read again, by outcome.
rp_reloads_total{result=\"ok\"} 0
rp_reloads_total{result=\"failed\"} 1
# TYPE rp_upstream_connects counter
# HELP rp_upstream_connects Connections to upstreams that were tried, by outcome.
rp_upstream_connects_total{result=\"ok\"} 2
rp_upstream_connects_total{result=\"failed\"} 0
# TYPE rp_passthrough_connections counter
# HELP rp_passthrough_connections Connections that were passed through, by whether a server was reached.
rp_passthrough_connections_total{result=\"ok\"} 0
rp_passthrough_connections_total{result=\"failed\"} 0
# TYPE rp_handshake_failures counter
# HELP rp_handshake_failures Handshakes of clients that failed, by what carried them and why.
rp_handshake_failures_total{transport=\"quic\",reason=\"alpn\"} 1
rp_handshake_failures_total{transport=\"tcp\",reason=\"timeout\"} 2
# TYPE rp_certificate_orders counter
# HELP rp_certificate_orders Certificates that an authority was asked for, by outcome.
rp_certificate_orders_total{authority=\"a\\\"\\\\\\nb\",result=\"challenge\"} 1
rp_certificate_orders_total{authority=\"ca.test\",result=\"ok\"} 1
# EOF
";
}
