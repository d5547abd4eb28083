//! One line for each connection whose TLS was passed through, written when it has ended.

use std::net::IpAddr;
use std::time::SystemTime;

use super::{
    Form, Paint, Style, human_end, human_size, human_time, millis, number, optional, quoted_address, string, word,
};
use crate::telemetry::clock;

/// What is known of such a connection. Names are those of a request's line where they mean the same.
#[derive(Debug, Clone)]
pub struct Passed<'a> {
    /// When its name was known.
    pub time: SystemTime,
    pub client_ip: IpAddr,
    /// Whom the client asked for.
    pub sni: &'a str,
    /// From the client, and to it.
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Microseconds: all of it, and until the connection to the server stood.
    pub total: u64,
    pub connect: Option<u32>,
    /// The server that was tried last.
    pub upstream: Option<&'a str>,
    /// How many were tried.
    pub attempts: u8,
    /// Why no server was reached.
    pub error_code: Option<&'static str>,
    /// What ended it.
    pub tunnel_end: Option<&'static str>,
    pub site: &'a str,
}

impl Passed<'_> {
    /// Appends the line with its newline.
    pub fn append(&self, to: &mut Vec<u8>, style: &Style) {
        match style.form {
            Form::Json => self.append_json(to),
            Form::Plain => self.append_human(to, &Paint::NONE),
            Form::Coloured => self.append_human(to, &Paint::ANSI),
        }
        to.push(b'\n');
    }

    fn append_json(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(b"{\"time\":\"");
        to.extend_from_slice(&clock::rfc3339(self.time));
        to.extend_from_slice(b"\",\"client_ip\":");
        quoted_address(to, self.client_ip);
        to.extend_from_slice(b",\"protocol\":\"TLS\"");
        string(to, ",\"sni\":", self.sni.as_bytes());
        number(to, ",\"bytes_in\":", self.bytes_in);
        number(to, ",\"bytes_out\":", self.bytes_out);
        millis(to, ",\"duration_ms\":", self.total);
        if let Some(connect) = self.connect {
            millis(to, ",\"connect_ms\":", u64::from(connect));
        }
        optional(to, ",\"upstream\":", self.upstream);
        if self.attempts > 0 {
            number(to, ",\"attempts\":", u64::from(self.attempts));
        }
        optional(to, ",\"error\":", self.error_code);
        optional(to, ",\"tunnel_end\":", self.tunnel_end);
        string(to, ",\"site\":", self.site.as_bytes());
        to.push(b'}');
    }

    /// `08:49:37.123 TLS db.example.com 12.0s 3.4KiB 10.0.0.1:5432 closed_by_client`
    fn append_human(&self, to: &mut Vec<u8>, paint: &Paint) {
        paint.dim(to, &clock::time_of_day(self.time));
        to.extend_from_slice(b" TLS");
        word(to, self.sni.as_bytes());
        to.push(b' ');
        human_time(to, self.total);
        to.push(b' ');
        human_size(to, self.bytes_out);
        human_end(to, paint, self.upstream, (self.error_code, None), self.tunnel_end);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(record: &Passed<'_>, form: Form, expected: &str) {
        let mut line = Vec::new();
        record.append(&mut line, &Style { form, ..Style::default() });
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }

    #[test]
    fn a_connection_is_one_line() {
        let record = Passed {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            client_ip: "::ffff:192.0.2.7".parse().unwrap(),
            sni: "db\"\n.test",
            bytes_in: 517,
            bytes_out: 3_481,
            total: 12_034_567,
            connect: Some(420),
            upstream: Some("10.0.0.1:5432"),
            attempts: 2,
            error_code: None,
            tunnel_end: Some("closed_by_client"),
            site: "*.test",
        };
        check(
            &record,
            Form::Json,
            "{\"time\":\"2023-11-14T22:13:20.123Z\",\"client_ip\":\"192.0.2.7\",\"protocol\":\"TLS\",\
             \"sni\":\"db\\\"\\n.test\",\"bytes_in\":517,\"bytes_out\":3481,\"duration_ms\":12034.567,\"connect_ms\":0.420,\
             \"upstream\":\"10.0.0.1:5432\",\"attempts\":2,\"tunnel_end\":\"closed_by_client\",\"site\":\"*.test\"}\n",
        );
        let record = Passed {
            sni: "db.test",
            connect: None,
            upstream: None,
            attempts: 0,
            error_code: Some("no_healthy_upstream"),
            tunnel_end: None,
            ..record
        };
        check(&record, Form::Plain, "22:13:20.123 TLS db.test 12.0s 3.3KiB no_healthy_upstream\n");
    }
}
