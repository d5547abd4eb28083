//! The running `rate_limit`.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};

use super::key::Key;
use super::pace::Pace;
use super::table::Table;
use crate::http::exchange::{Allowance, Exchange};
use crate::http::fault::{Cause, Fault};
use crate::http::step::{Answer, Filter};

/// `RateLimit` and `RateLimit-Policy`: as the IETF's draft on rate limit header fields has them.
const STATE: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// One limit, with what it knows of its keys.
#[derive(Debug)]
pub(super) struct Limit {
    pub pace: Pace,
    pub key: Key,
    pub table: Arc<Table>,
    /// For the log.
    pub what: Box<str>,
    /// `None`: clients are told of it only when they are refused.
    pub told: Option<Told>,
}

/// What is told to every client.
#[derive(Debug)]
pub(super) struct Told {
    /// `"100/m"`, quoted: by this name the two fields refer to each other.
    name: Box<str>,
    policy: HeaderValue,
}

impl Told {
    /// `rate` as it was written: digits, a slash and a duration.
    pub fn new(rate: &str, pace: &Pace) -> Self {
        let name = format!("\"{rate}\"");
        let policy = format!("{name};q={};w={}", pace.quota(), seconds(pace.window()));
        let policy = HeaderValue::try_from(policy).expect("a name of digits and letters, and numbers");
        Self { name: name.into(), policy }
    }

    fn state(&self, allowance: &Allowance) -> HeaderValue {
        let mut text = Vec::with_capacity(48);
        let _ = write!(text, "{};r={};t={}", self.name, allowance.left, seconds(allowance.whole));
        HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// Rounded up: who comes back after so many seconds is not too early.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

impl Filter for Limit {
    fn request(&self, exchange: &mut Exchange) -> Result<Option<Answer>, Fault> {
        let tag = self.key.tag(exchange, &self.table);
        let mut allowance = self.table.take(tag, exchange.started, &self.pace);
        // A request that waited above may be older than those that have used the key since: it is judged by its own
        // time first, which costs no look at the clock, and refused by the clock alone.
        if !allowance.wait.is_zero() && !exchange.rehearsed {
            allowance = self.table.take(tag, Instant::now().max(exchange.started), &self.pace);
        }
        exchange.limits.push(allowance);
        if allowance.wait.is_zero() { Ok(None) } else { Err(Fault::detailed(Cause::RateLimited, &*self.what)) }
    }

    fn has_response_side(&self) -> bool {
        true
    }

    /// Response sides run in the reverse order of request sides, so the last allowance is this step's.
    fn response(&self, exchange: &mut Exchange, answer: &mut Answer) {
        let Some(allowance) = exchange.limits.pop() else { return };
        let tells_to_wait = matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let headers = answer.headers_mut();
        if !allowance.wait.is_zero() && tells_to_wait {
            let wait = HeaderValue::from(seconds(allowance.wait).max(1));
            headers.entry(header::RETRY_AFTER).or_insert(wait);
        }
        if let Some(told) = &self.told {
            headers.append(POLICY, told.policy.clone());
            headers.append(STATE, told.state(&allowance));
        }
    }
}
