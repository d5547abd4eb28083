//! Name servers of a test's own, on this machine: honest ones, and those that mean harm.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{Name, RData, Record};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

/// What a question is answered with over UDP; none: nothing.
type Answer = dyn Fn(&Message) -> Vec<Vec<u8>> + Send + Sync;

/// A name server that answers as it is told.
pub struct Fake {
    pub address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Fake {
    pub async fn new(answer: impl Fn(&Message) -> Message + Send + Sync + 'static) -> Self {
        Self::raw(move |question| vec![answer(question).to_vec().unwrap()]).await
    }

    /// Says one after another, and the last again and again; `None` is a text that is not there.
    pub async fn scripted<const N: usize>(texts: [Option<&'static str>; N]) -> Self {
        let at = AtomicUsize::new(0);
        let next = move |question: &Message| {
            let step = at.fetch_add(1, Ordering::SeqCst).min(N - 1);
            text(question, texts[step].as_slice())
        };
        Self::new(next).await
    }

    /// With any bytes, in any number of datagrams.
    pub async fn raw(answer: impl Fn(&Message) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::at(UdpSocket::bind("127.0.0.1:0").await.unwrap(), answer)
    }

    fn at(socket: UdpSocket, answer: impl Fn(&Message) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        let (address, asked) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let (count, answer): (_, Box<Answer>) = (Arc::clone(&asked), Box::new(answer));
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
                count.fetch_add(1, Ordering::SeqCst);
                for bytes in answer(&Message::from_vec(&buffer[..length]).unwrap()) {
                    socket.send_to(&bytes, client).await.unwrap();
                }
            }
        });
        Self { address, asked }
    }

    /// One that says another thing over TCP.
    pub async fn and_over_tcp(
        short: impl Fn(&Message) -> Message + Send + Sync + 'static,
        whole: impl Fn(&Message) -> Message + Send + Sync + 'static,
    ) -> Self {
        // A port that is free over both.
        let (listener, socket) = loop {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()).await {
                break (listener, socket);
            }
        };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = vec![0; stream.read_u16().await.unwrap().into()];
                stream.read_exact(&mut bytes).await.unwrap();
                let bytes = whole(&Message::from_vec(&bytes).unwrap()).to_vec().unwrap();
                stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
                stream.write_all(&bytes).await.unwrap();
            }
        });
        Self::at(socket, move |question| vec![short(question).to_vec().unwrap()])
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

pub fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// An answer without records.
pub fn nothing(question: &Message) -> Message {
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.add_queries(question.queries.clone());
    answer
}

pub fn refusal(question: &Message, code: ResponseCode) -> Message {
    let mut answer = nothing(question);
    answer.metadata.response_code = code;
    answer
}

/// An answer with these records under the name that was asked for.
pub fn records(question: &Message, records: impl IntoIterator<Item = RData>) -> Message {
    let mut answer = nothing(question);
    let owner = question.queries[0].name().clone();
    // No answer is kept for longer than it is looked at, so no time is too short.
    answer.add_answers(records.into_iter().map(|data| Record::from_rdata(owner.clone(), 0, data)));
    answer
}

pub fn text(question: &Message, texts: &[&str]) -> Message {
    records(question, texts.iter().map(|text| RData::TXT(TXT::new(vec![(*text).to_owned()]))))
}
