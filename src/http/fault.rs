//! Why a request was not answered as its sender hoped. One table decides status, error code and whose fault it is.

use std::fmt;

use http::StatusCode;

/// Whose fault: it decides the level of the log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    Client,
    Upstream,
    Us,
}

macro_rules! causes {
    ($($name:ident $blame:ident $status:ident $code:literal,)*) => {
        /// What went wrong. The code is stable: it stands in logs and metrics.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Cause { $($name,)* }

        impl Cause {
            pub const ALL: &[Cause] = &[$(Cause::$name,)*];

            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Cause::$name => $code,)* }
            }

            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Cause::$name => StatusCode::$status,)* }
            }

            #[must_use]
            pub fn blame(self) -> Blame {
                match self { $(Cause::$name => Blame::$blame,)* }
            }
        }
    };
}

causes! {
    ConnectionRefused Upstream BAD_GATEWAY "upstream_connection_refused",
    HostUnreachable Upstream BAD_GATEWAY "upstream_host_unreachable",
    Dns Upstream BAD_GATEWAY "upstream_dns",
    Tls Upstream BAD_GATEWAY "upstream_tls",
    Protocol Upstream BAD_GATEWAY "upstream_protocol",
    Malformed Upstream BAD_GATEWAY "upstream_malformed",
    ClosedEarly Upstream BAD_GATEWAY "upstream_closed",
    ClosedInBody Upstream BAD_GATEWAY "upstream_body_closed",
    HeadersTooLarge Upstream BAD_GATEWAY "upstream_headers_too_large",
    ConnectTimeout Upstream GATEWAY_TIMEOUT "upstream_connect_timeout",
    HeaderTimeout Upstream GATEWAY_TIMEOUT "upstream_header_timeout",
    ReadTimeout Upstream GATEWAY_TIMEOUT "upstream_read_timeout",
    SendTimeout Upstream GATEWAY_TIMEOUT "upstream_send_timeout",
    TotalTimeout Upstream GATEWAY_TIMEOUT "upstream_total_timeout",
    Intercepted Upstream BAD_GATEWAY "upstream_status",
    NoHealthyUpstream Upstream SERVICE_UNAVAILABLE "no_healthy_upstream",
    QueueFull Upstream SERVICE_UNAVAILABLE "upstream_queue_full",
    QueueTimeout Upstream SERVICE_UNAVAILABLE "upstream_queue_timeout",
    BadRequest Client BAD_REQUEST "bad_request",
    BadPath Client BAD_REQUEST "bad_path",
    BadHost Client BAD_REQUEST "bad_host",
    Unauthorized Client UNAUTHORIZED "unauthorized",
    BodyTooLarge Client PAYLOAD_TOO_LARGE "body_too_large",
    UriTooLong Client URI_TOO_LONG "uri_too_long",
    FieldsTooLarge Client REQUEST_HEADER_FIELDS_TOO_LARGE "headers_too_large",
    RequestTimeout Client REQUEST_TIMEOUT "request_timeout",
    BodyTimeout Client REQUEST_TIMEOUT "request_body_timeout",
    ClientAbort Client BAD_REQUEST "client_abort",
    WriteTimeout Client REQUEST_TIMEOUT "response_write_timeout",
    MethodNotAllowed Client METHOD_NOT_ALLOWED "method_not_allowed",
    MediaType Client UNSUPPORTED_MEDIA_TYPE "unsupported_media_type",
    ExpectationFailed Client EXPECTATION_FAILED "expectation_failed",
    RateLimited Client TOO_MANY_REQUESTS "rate_limited",
    NoSite Client MISDIRECTED_REQUEST "no_site",
    Misdirected Client MISDIRECTED_REQUEST "misdirected",
    NoRoute Client NOT_FOUND "no_route",
    FileNotFound Client NOT_FOUND "file_not_found",
    Forbidden Client FORBIDDEN "forbidden",
    RangeNotSatisfiable Client RANGE_NOT_SATISFIABLE "range_not_satisfiable",
    FileUnreadable Us INTERNAL_SERVER_ERROR "file_unreadable",
    Overloaded Us SERVICE_UNAVAILABLE "overloaded",
    Panic Us INTERNAL_SERVER_ERROR "internal_error",
}

/// A cause, and what the log may know of it. The detail never reaches the client (requirement C02).
#[derive(Debug, Clone)]
pub struct Fault {
    pub cause: Cause,
    pub detail: Option<Box<str>>,
    /// What the upstream answered, where `intercept` makes its answer a failure.
    answered: Option<StatusCode>,
}

impl Fault {
    #[must_use]
    pub fn detailed(cause: Cause, detail: impl Into<Box<str>>) -> Self {
        Self { cause, detail: Some(detail.into()), answered: None }
    }

    /// An answer of the upstream's that is to be replaced.
    #[must_use]
    pub fn intercepted(status: StatusCode) -> Self {
        Self { cause: Cause::Intercepted, detail: None, answered: Some(status) }
    }

    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.answered.unwrap_or_else(|| self.cause.status())
    }
}

impl From<Cause> for Fault {
    fn from(cause: Cause) -> Self {
        Self { cause, detail: None, answered: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cause.code())?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

impl std::error::Error for Fault {}
