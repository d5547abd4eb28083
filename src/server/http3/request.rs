//! One request of an HTTP/3 connection, from its stream to the last byte of its answer.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use h3::error::Code;
use h3::server::{RequestResolver, RequestStream};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response};
use http_body::Body as _;

use super::body::Upload;
use super::section::Protocol;
use super::stream::{Fate, Sender};
use super::transport::{Arrived, Line, Transport};
use super::tunnel::carry;
use crate::http::body::{Body, Received};
use crate::http::exchange::{AsksWebSocket, TunnelSlot};
use crate::server::connection::{Terms, within};
use crate::server::executor::giving_up;
use crate::server::handle::{Context, handle, handle_with};
use crate::server::journey::Outbound;
use crate::telemetry::clock;

/// Answers one request. It ends when the client has all of the answer, or wants no more of it: then whatever is under way for
/// it ends, too.
pub async fn serve(resolver: RequestResolver<Transport, Bytes>, arrived: Arrived, context: Rc<Context>, terms: Terms) {
    let Arrived { fate, mut stopped, line, .. } = arrived;
    let is_answered = {
        let mut answer = Box::pin(answer(resolver, fate.clone(), line, context, terms));
        let mut has_stopped = false;
        poll_fn(|cx| {
            loop {
                if answer.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(!has_stopped);
                }
                if has_stopped {
                    return Poll::Pending;
                }
                let stop = ready!(stopped.as_mut().poll(cx));
                if !fate.is_tunnel() {
                    return Poll::Ready(false);
                }
                // A tunnel says itself how it ends, and one whose last byte has arrived may still be told something.
                has_stopped = true;
                if !matches!(stop, Ok(None)) {
                    fate.stop();
                }
            }
        })
        .await
    };
    if is_answered {
        // Whoever closes the connection now would take from it what has not arrived.
        let _ = stopped.await;
    }
}

async fn answer(
    resolver: RequestResolver<Transport, Bytes>,
    fate: Rc<Fate>,
    line: Rc<Line>,
    context: Rc<Context>,
    terms: Terms,
) {
    let Some((request, upload, mut sender)) = within(terms.timeouts.header, begin(resolver, &fate)).await.flatten()
    else {
        // It has cost what it has cost.
        context.watch.begin();
        context.watch.break_off();
        context.watch.end();
        return;
    };
    if fate.protocol() == Some(Protocol::WebSocket) {
        return Box::pin(switch(request, upload, sender, fate, context)).await;
    }
    let Ok(response) = handle(context, request.map(|()| Received::Stream(Box::pin(upload)))).await;
    let (head, body) = split(response);
    let mut body = pin!(body);
    if deliver(head, body.as_mut(), &mut sender, &fate).await.is_err() {
        Box::pin(line.arrives()).await;
    }
    if fate.is_slow() {
        giving_up(|| body.set(Outbound::of_tunnel()));
    }
}

/// Answers who asks for a WebSocket: with that, or with what says why not.
async fn switch(
    mut request: Request<()>,
    upload: Upload,
    mut sender: RequestStream<Sender, Bytes>,
    fate: Rc<Fate>,
    context: Rc<Context>,
) {
    let (slot, upload) = (Rc::<TunnelSlot>::default(), Box::pin(upload));
    request.extensions_mut().insert(AsksWebSocket);
    let request = request.map(|()| Received::Stream(Box::pin(Body::Empty)));
    let Ok(response) = handle_with(&slot, context, request).await;
    let (head, body) = split(response);
    let Some(tunnel) = slot.take() else {
        let _ = deliver(head, pin!(body), &mut sender, &fate).await;
        return;
    };
    if sender.send_response(head).await.is_ok() {
        carry(tunnel, upload, sender, fate).await;
    }
}

fn split(response: Response<Outbound>) -> (Response<()>, Outbound) {
    let (parts, body) = response.into_parts();
    let mut head = Response::from_parts(parts, ());
    complete(head.headers_mut(), &body);
    (head, body)
}

/// Reads the head, and what shows whether there is a body. None where the request is malformed, or broken off.
async fn begin(
    resolver: RequestResolver<Transport, Bytes>,
    fate: &Rc<Fate>,
) -> Option<(Request<()>, Upload, RequestStream<Sender, Bytes>)> {
    let (request, stream) = resolver.resolve_request().await.ok()?;
    fate.answer();
    let (sender, receiver) = stream.split();
    let Ok(length) = judge(request.headers()) else {
        fate.refuse(Code::H3_MESSAGE_ERROR);
        return None;
    };
    // RFC 8441, section 4, which holds here, too.
    if fate.protocol().is_some() && (*request.method() != Method::CONNECT || request.uri().scheme().is_none()) {
        fate.refuse(Code::H3_MESSAGE_ERROR);
        return None;
    }
    let mut upload = Upload::new(receiver, length, fate.clone());
    let has_body =
        length.is_some() || matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH | Method::CONNECT);
    upload.look(!has_body).await;
    if fate.is_refused() { None } else { Some((request, upload, sender)) }
}

/// RFC 9114, section 4.2: what a message may not bear, and the length that it says to have.
fn judge(headers: &HeaderMap) -> Result<Option<u64>, ()> {
    const HOP: [HeaderName; 5] = [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    if headers.keys().any(|name| HOP.contains(name)) || headers.get_all(header::TE).iter().any(|te| te != "trailers") {
        return Err(());
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(None),
        (Some(length), None) => decimal(length.as_bytes()).map(Some).ok_or(()),
        _ => Err(()),
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

/// What hyper adds to answers of the other versions.
fn complete(headers: &mut HeaderMap, body: &Outbound) {
    if !headers.contains_key(header::DATE)
        && let Ok(date) = HeaderValue::from_bytes(&clock::http_date(SystemTime::now()))
    {
        headers.insert(header::DATE, date);
    }
    if let Some(length) = body.size_hint().exact().filter(|_| !body.is_end_stream()) {
        headers.entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
}

/// The server's answer has broken off.
struct BrokenOff;

/// Sends an answer. Where it is not sent whole, its stream is reset when it is dropped.
async fn deliver(
    head: Response<()>,
    mut body: Pin<&mut Outbound>,
    sender: &mut RequestStream<Sender, Bytes>,
    fate: &Fate,
) -> Result<(), BrokenOff> {
    if fate.is_refused() || sender.send_response(head).await.is_err() {
        return Ok(());
    }
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame.map_err(|_| BrokenOff)?;
        if fate.is_refused() {
            return Ok(());
        }
        let sent = match frame.into_data() {
            Ok(data) if data.is_empty() => Ok(()),
            Ok(data) => sender.send_data(data).await,
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) => sender.send_trailers(trailers).await,
                Err(_) => Ok(()),
            },
        };
        if sent.is_err() {
            return Ok(());
        }
    }
    let _ = sender.finish().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fields: &[(&'static str, &'static str)], expected: Result<Option<u64>, ()>) {
        let headers =
            fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        assert_eq!(judge(&map), expected, "{fields:?}");
    }

    #[test]
    fn xg01_fields_of_one_hop_are_no_part_of_http3() {
        check(&[("te", "trailers"), ("x-a", "b")], Ok(None));
        for name in ["connection", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection"] {
            check(&[(name, "x")], Err(()));
        }
        check(&[("te", "gzip")], Err(()));
        check(&[("te", "trailers"), ("te", "gzip")], Err(()));
    }

    #[test]
    fn xg03_there_is_one_length_and_it_is_a_number() {
        check(&[("content-length", "0")], Ok(Some(0)));
        check(&[("content-length", "18446744073709551615")], Ok(Some(u64::MAX)));
        for length in ["", "+3", "3, 3", "0x3", "3 ", "18446744073709551616"] {
            check(&[("content-length", length)], Err(()));
        }
        check(&[("content-length", "3"), ("content-length", "3")], Err(()));
    }
}
